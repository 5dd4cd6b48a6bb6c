"""A page that shows the evidence: the faces looked at, and how sure each stretch of time is."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from retalking.files import replacing
from retalking.trust.verdict.telling import as_text, describe_face
from retalking.trust.verdict.verification import FALSE_POSITIVES_LOG10, FaceVerdict, Verdict
from retalking.types import UInt8Array

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "pre{white-space:pre-wrap;background:#f3f3f3;padding:1em}"
    "figure{display:flex;gap:1em;align-items:center;margin:1em 0}"
)
_WIDTH, _HEIGHT, _LARGEST = 480, 112, 30.0
_NOTE = (
    "A face without a mark is not shown to be genuine: other programs leave none, and a mark can "
    "be destroyed. The dashed line is where one of a million unmarked files would come by chance."
)


def write_report(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write the page; it holds its pictures.

    Raises:
        MediaError: it cannot be written.
    """
    parts = [f"<!doctype html><meta charset=utf-8><title>Evidence</title><style>{_STYLE}</style>"]
    for verdict in verdicts:
        parts.append(f"<h1>{html.escape(verdict.path.name)}</h1>")
        parts.append(f"<p><strong>{html.escape(verdict.sentence)}</strong></p>")
        parts += [_figure(face) for face in verdict.faces]
        parts.append(f"<pre>{html.escape(as_text(verdict))}</pre>")
    parts.append(f"<p>{_NOTE}</p>")
    with replacing(path) as partial:
        partial.write_text("\n".join(parts), "utf-8")


def _figure(face: FaceVerdict) -> str:
    picture = f"<img alt='the face' src='data:image/png;base64,{_png(face.face.portrait)}'>"
    caption = f"<figcaption>{html.escape(describe_face(face))}</figcaption>"
    return f"<figure>{picture}{_bars(face)}{caption}</figure>"


def _bars(face: FaceVerdict) -> str:
    """Evidence over time: one bar for each window, as high as chance is unlikely."""
    values = face.finding.windows_log10_p if face.finding else ()
    step = _WIDTH / max(len(values), 1)
    bars = "".join(
        f"<rect x='{number * step:.1f}' width='{step * 0.9:.1f}' y='{_HEIGHT - _tall(value):.1f}' "
        f"height='{_tall(value):.1f}' fill='#36c'/>"
        for number, value in enumerate(values)
    )
    level = _HEIGHT - _tall(FALSE_POSITIVES_LOG10)
    line = f"<path d='M0 {level:.1f}H{_WIDTH}' stroke='#c33' stroke-dasharray='6 4'/>"
    return f"<svg width='{_WIDTH}' height='{_HEIGHT}' role='img'>{bars}{line}</svg>"


def _tall(log10_p: float) -> float:
    return _HEIGHT * min(-log10_p, _LARGEST) / _LARGEST


def _png(rgb: UInt8Array) -> str:
    _, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    return base64.b64encode(data.tobytes()).decode()
