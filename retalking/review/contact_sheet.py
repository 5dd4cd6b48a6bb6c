"""Contact sheets: frames of several videos at the same times, one above the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from retalking.types import AudioClip, Float64Array, UInt8Array

_GAP_PX = 6
_TEXT_PX = 15
_LINE_PX = _TEXT_PX + 2 * _GAP_PX
_WAVE_PX = 72
_PAPER, _INK, _WAVE, _MARK = (255, 255, 255), (40, 40, 40), (70, 110, 170), (215, 215, 215)


def spread_times(duration_s: float, count: int) -> Float64Array:
    """Divide a duration into equal parts and return their middles in seconds, ``[count]``."""
    return (np.arange(count) + 0.5) * duration_s / count


def draw_contact_sheet(
    rows: Mapping[str, UInt8Array],
    times_s: ArrayLike,
    speech: AudioClip | None = None,
    cell_width_px: int = 180,
) -> UInt8Array:
    """Draw one row per video, one column per time, and the times under the columns.

    Args:
        rows: title to frames, uint8 ``[N, H, W, 3]``; the size may differ from row to row.
        times_s: the moment ``[N]`` that each column shows, in seconds.
        speech: sound from 0 s on, drawn below as a waveform over the full width. The times of
            ``spread_times(speech.duration_s, N)`` lie right above their place in it.
        cell_width_px: frames are scaled to this width.

    Returns:
        uint8 ``[H, W, 3]``.
    """
    times = np.asarray(times_s, np.float64)
    if not rows or not len(times):
        raise ValueError("a contact sheet needs at least one row and one time")
    for title, frames in rows.items():
        if frames.dtype != np.uint8 or frames.ndim != 4 or len(frames) != len(times):
            raise ValueError(
                f"row {title!r}: got {frames.dtype}{list(frames.shape)}, "
                f"expected uint8[{len(times)}, H, W, 3]"
            )
    font = ImageFont.load_default(size=_TEXT_PX)
    step_px = cell_width_px + _GAP_PX
    titles = [*rows] if speech is None else [*rows, "speech"]
    left_px = 2 * _GAP_PX + round(max(font.getlength(title) for title in titles))
    heights_px = [round(cell_width_px * len(f[0]) / len(f[0][0])) for f in rows.values()]
    rows_px = sum(heights_px) + _GAP_PX * (len(rows) + 1)
    bottom_px = 0 if speech is None else _WAVE_PX + _GAP_PX
    size_px = (left_px + step_px * len(times), rows_px + _LINE_PX + bottom_px)

    sheet = Image.new("RGB", size_px, _PAPER)
    pen = ImageDraw.Draw(sheet)
    top_px = _GAP_PX
    for (title, frames), height_px in zip(rows.items(), heights_px, strict=True):
        pen.text((_GAP_PX, top_px + height_px / 2), title, _INK, font, anchor="lm")
        for column, frame in enumerate(frames):
            cell = Image.fromarray(frame).resize((cell_width_px, height_px))
            sheet.paste(cell, (left_px + column * step_px, top_px))
        top_px += height_px + _GAP_PX
    for column, time_s in enumerate(times):
        middle_px = left_px + column * step_px + cell_width_px / 2
        pen.text((middle_px, rows_px + _LINE_PX / 2), f"{time_s:.2f} s", _INK, font, anchor="mm")
    if speech is not None:
        top_px = rows_px + _LINE_PX
        pen.text((_GAP_PX, top_px + _WAVE_PX / 2), "speech", _INK, font, anchor="lm")
        width_px = step_px * len(times) - _GAP_PX
        wave = draw_waveform(speech, times, width_px, _WAVE_PX)
        sheet.paste(Image.fromarray(wave), (left_px, top_px))
    return np.array(sheet)


def draw_waveform(
    speech: AudioClip, marks_s: Float64Array, width_px: int, height_px: int
) -> UInt8Array:
    """Draw the peaks of a sound, its loudest one as high as the picture.

    Args:
        speech: the sound, over the full width.
        marks_s: moments to mark with a line.
        width_px: of the picture.
        height_px: of the picture.

    Returns:
        uint8 ``[height_px, width_px, 3]``.
    """
    picture = np.full((height_px, width_px, 3), _PAPER, np.uint8)
    marks_px = np.rint(marks_s / speech.duration_s * width_px).astype(np.int64)
    picture[:, marks_px[(marks_px >= 0) & (marks_px < width_px)]] = _MARK
    parts = np.array_split(np.abs(speech.samples), width_px)
    peaks = np.array([part.max(initial=0.0) for part in parts])
    reach_px = peaks / max(peaks.max(), 1e-6) * height_px / 2
    from_middle_px = np.abs(np.arange(height_px) + 0.5 - height_px / 2)
    picture[from_middle_px[:, None] < np.maximum(reach_px, 1)] = _WAVE
    return picture
