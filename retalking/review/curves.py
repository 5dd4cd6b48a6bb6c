"""Curves over time as SVG, drawn without a plotting library. ``N`` counts moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np

from retalking.types import BoolArray, Float64Array

_WIDTH_PX, _HEIGHT_PX, _LEFT_PX, _TOP_PX, _BOTTOM_PX = 1000, 190, 10, 26, 22
_ROOM_PX = _HEIGHT_PX - _TOP_PX - _BOTTOM_PX
_MOST_POINTS = 1200
_REACH = 3.0  # standard deviations shown on either side
_GRID = "#d8d8d8"


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        values: float64 ``[N]``; only its shape is shown, in standard deviations from its mean.
        colour: of the line.
        dashes: of SVG's ``stroke-dasharray``.
    """

    values: Float64Array
    colour: str
    dashes: str = ""


def draw_curves(
    time_s: Float64Array,
    lines: Mapping[str, Line],
    bands: Mapping[str, tuple[BoolArray, str]],
    seen: BoolArray,
) -> str:
    """Draw curves one over the other.

    Args:
        time_s: float64 ``[N]``, increasing.
        lines: by their label.
        bands: by their label, moments ``[N]`` that are shaded in a colour.
        seen: bool ``[N]``, where the curves mean something; elsewhere they are broken.

    Returns:
        An ``<svg>`` element, without anything that is loaded or run.
    """
    end_s = float(time_s[-1]) + float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    ends_s = np.append(time_s, end_s)
    parts = [
        _draw_band(_across(ends_s[start], end_s), _across(ends_s[stop], end_s), colour)
        for shaded, colour in bands.values()
        for start, stop in _spans(shaded)
    ]
    for moment_s in _ticks(end_s):
        x = f"{_across(moment_s, end_s):.1f}"
        parts.append(
            f'<line x1="{x}" y1="{_TOP_PX}" x2="{x}" y2="{_TOP_PX + _ROOM_PX}" stroke="{_GRID}"/>'
            f'<text x="{x}" y="{_HEIGHT_PX - 6}" text-anchor="middle">{moment_s:g} s</text>'
        )
    rows = np.arange(len(time_s))[:: max(1, -(-len(time_s) // _MOST_POINTS))]
    for line in lines.values():
        heights = _TOP_PX + (1 - _standardise(line.values, seen)) * _ROOM_PX / 2
        for start, stop in _spans(seen[rows]):
            points = " ".join(
                f"{_across(time_s[row], end_s):.1f},{heights[row]:.1f}" for row in rows[start:stop]
            )
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{line.colour}" '
                f'stroke-width="1.8" stroke-dasharray="{line.dashes}"/>'
            )
    legend = {label: line.colour for label, line in lines.items()}
    parts.append(_draw_legend(legend | {label: colour for label, (_, colour) in bands.items()}))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} {_HEIGHT_PX}" '
        f'role="img" font-family="sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _across(moment_s: float, end_s: float) -> float:
    return _LEFT_PX + (_WIDTH_PX - 2 * _LEFT_PX) * moment_s / end_s


def _draw_band(left: float, right: float, colour: str) -> str:
    return (
        f'<rect x="{left:.1f}" y="{_TOP_PX}" width="{right - left:.1f}" height="{_ROOM_PX}" '
        f'fill="{colour}"/>'
    )


def _draw_legend(colours: Mapping[str, str]) -> str:
    parts, place = [], _LEFT_PX
    for label, colour in colours.items():
        parts.append(
            f'<rect x="{place}" y="6" width="14" height="10" fill="{colour}" stroke="#999"/>'
            f'<text x="{place + 19}" y="15">{escape(label)}</text>'
        )
        place += 40 + 7 * len(label)
    return "".join(parts)


def _standardise(values: Float64Array, seen: BoolArray) -> Float64Array:
    """Bring the seen part of a curve to -1..1, which are ``_REACH`` standard deviations."""
    if not seen.any():
        return np.zeros_like(values)
    spread = max(float(values[seen].std()), 1e-6)
    return np.clip((values - values[seen].mean()) / spread / _REACH, -1, 1)


def _spans(chosen: BoolArray) -> list[tuple[int, int]]:
    """Ranges ``start, stop`` of a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _ticks(end_s: float) -> Float64Array:
    step_s = next(
        s for s in (0.5, 1, 2, 5, 10, 30, 60, 300, 600, 3600) if end_s / s <= 14 or s == 3600
    )
    return np.arange(0, end_s, step_s)
