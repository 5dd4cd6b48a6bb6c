"""A report as one page: nothing is loaded, nothing runs, everything is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from retalking.review.curves import Line, draw_curves
from retalking.review.fates import FATES, Fates
from retalking.review.findings import Finding
from retalking.types import BoolArray, Float64Array, UInt8Array

_MADE, _OLD, _HEARD = "#c0392b", "#9a9a9a", "#2c6fbb"
_STYLE = """
body{font:15px/1.5 sans-serif;color:#222;max-width:1060px;margin:2em auto;padding:0 1em}
h1{font-size:1.4em;margin-bottom:.2em}h2{font-size:1.1em;margin-top:2em}
.good{border-left:6px solid #2e8b57;background:#eef8f1}
.look{border-left:6px solid #d98200;background:#fff6e6}
.verdict{padding:.6em 1em;white-space:pre-line}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.25em .8em;border-bottom:1px solid #ddd}
tr.out td{background:#fff6e6;font-weight:600}svg,img{width:100%;height:auto}small{color:#666}
"""


@dataclass(frozen=True)
class Curves:
    """Lips over time, all ``[N]``; openings in distances of the eyes but for ``heard``.

    Attributes:
        time_s: of the result's frames.
        made: opening in the result.
        old: in the source behind.
        heard: what the speech asks for, in standard deviations of a speaker.
        speaking: bool, where words are heard.
        seen: bool, where ``made`` and ``old`` mean something.
        hidden: bool, where something hides the mouth.
    """

    time_s: Float64Array
    made: Float64Array
    old: Float64Array
    heard: Float64Array
    speaking: BoolArray
    seen: BoolArray
    hidden: BoolArray


def write_page(
    title: str,
    lines: Sequence[str],
    findings: Sequence[Finding],
    fates: Fates,
    notes: Mapping[str, str],
    curves: Curves,
    sheet: UInt8Array,
) -> str:
    """Return the text of the page; see ``Review`` for what goes in."""
    troubles = [finding for finding in findings if not finding.is_good]
    body = [f"<h1>{escape(title)}</h1>", _verdict(lines, bool(troubles))]
    if troubles:
        items = "".join(f"<li>{escape(finding.sentence)}</li>" for finding in troubles)
        body.append(f"<h2>What to look at, and what helps</h2><ul>{items}</ul>")
    body += [f"<h2>Faces</h2>{_picture(sheet)}", _draw(curves), _figures(findings)]
    body += [_fates(fates), _notes(notes)]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _verdict(lines: Sequence[str], is_troubled: bool) -> str:
    kind = "look" if is_troubled else "good"
    return f'<p class="verdict {kind}">{escape(chr(10).join(lines))}</p>'


def _picture(rgb: UInt8Array) -> str:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=88)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="source above, result below" src="data:image/jpeg;base64,{data}">'


def _draw(curves: Curves) -> str:
    lines = {
        "lips of the result": Line(curves.made, _MADE),
        "asked for by the speech": Line(curves.heard, _HEARD),
        "old lips": Line(curves.old, _OLD, "4 3"),
    }
    bands = {
        "nobody speaks": (~curves.speaking, "#eef2f7"),
        "mouth hidden": (curves.hidden, "#f9d9a8"),
    }
    svg = draw_curves(curves.time_s, lines, bands, curves.seen)
    return (
        f"<h2>How far the lips are open</h2>{svg}<small>Each curve in standard deviations from its "
        "mean. Red should follow blue, and grey should not matter.</small>"
    )


def _figures(findings: Sequence[Finding]) -> str:
    rows = "".join(
        f'<tr class="{"" if finding.is_good else "out"}"><td>{escape(finding.rule.title)}</td>'
        f"<td>{escape(finding.rule.write(finding.value))}</td>"
        f"<td>{escape(finding.rule.wanted)}</td><td>{'' if finding.is_good else 'look'}</td></tr>"
        for finding in findings
    )
    head = "<tr><th></th><th>here</th><th>wanted</th><th></th></tr>"
    return f"<h2>Figures</h2><table>{head}{rows}</table>"


def _fates(fates: Fates) -> str:
    counts, ranges = fates.counts(), fates.ranges()
    rows = "".join(
        f"<tr><td>{escape(fate)}</td><td>{counts[fate]}</td><td>{escape(ranges[fate])}</td></tr>"
        for fate in FATES
        if fate in counts
    )
    return f"<h2>Frames</h2><table><tr><th></th><th>frames</th><th>which</th></tr>{rows}</table>"


def _notes(notes: Mapping[str, str]) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in notes.items())
    return f"<h2>Not measured</h2><ul>{items}</ul>" if items else ""
