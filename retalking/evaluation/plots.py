"""Bar charts as SVG, drawn without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH_PX, _LABEL_PX, _ROW_PX, _TOP_PX = 720, 260, 26, 40
_BAR, _DOT, _GRID = "#9db7d5", "#1f3f66", "#d0d0d0"
_NUM_TICKS = 4


def plot_quantity(
    title: str, bars: Mapping[str, float], dots: Mapping[str, Sequence[float]]
) -> str:
    """Draw one bar per method and, over it, a dot per clip.

    Args:
        title: above the chart.
        bars: value by method, at least one.
        dots: values of single clips by method.

    Returns:
        The SVG file's text.
    """
    values = [0.0, *bars.values(), *(v for many in dots.values() for v in many)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    room = _WIDTH_PX - _LABEL_PX - 70

    def place(value: float) -> float:
        return _LABEL_PX + room * (value - low) / span

    height = _TOP_PX + _ROW_PX * len(bars) + 30
    bottom = _TOP_PX + _ROW_PX * len(bars)
    parts = [f'<text x="12" y="24" font-size="15">{escape(title)}</text>']
    for tick in range(_NUM_TICKS + 1):
        value = low + span * tick / _NUM_TICKS
        x = place(value)
        parts.append(
            f'<line x1="{x:.1f}" y1="{_TOP_PX}" x2="{x:.1f}" y2="{bottom}" stroke="{_GRID}"/>'
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:.3g}</text>'
        )
    for number, (label, value) in enumerate(bars.items()):
        y = _TOP_PX + _ROW_PX * number
        left, right = sorted((place(0.0), place(value)))
        parts.append(
            f'<text x="{_LABEL_PX - 8}" y="{y + 17}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{left:.1f}" y="{y + 4}" width="{right - left:.1f}" height="{_ROW_PX - 8}" '
            f'fill="{_BAR}"/>'
            f'<text x="{_WIDTH_PX - 6}" y="{y + 17}" text-anchor="end">{value:.4g}</text>'
        )
        parts += [
            f'<circle cx="{place(clip):.1f}" cy="{y + _ROW_PX / 2}" r="2.5" fill="{_DOT}" '
            'fill-opacity="0.6"/>'
            for clip in dots.get(label, ())
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_PX}" height="{height}" '
        f'viewBox="0 0 {_WIDTH_PX} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
