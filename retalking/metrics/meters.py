"""Metrics side by side on one clip; one that fails leaves the others alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from retalking.errors import FaceNotFoundError, RetalkingError
from retalking.metrics.metric import Clip, ClipChunk, ClipMeter, Metric, State
from retalking.types import UInt8Array

_TRACKS = {"result_track", "source_track", "truth_track"}


class Meters:
    """The meters of several metrics, which see every frame together."""

    def __init__(self, metrics: Mapping[str, Metric], clip: Clip) -> None:
        self._metrics = metrics
        self._meters: dict[str, ClipMeter] = {}
        self._errors: dict[str, RetalkingError] = {}
        for name, metric in metrics.items():
            with self._noting_errors(name):
                _require_faces(metric, clip)
                self._meters[name] = metric.start(clip)

    def add(self, start: int, result: UInt8Array, source: UInt8Array | None) -> None:
        """Hand the next frames to every metric that has not failed.

        Args:
            start: index of the first.
            result: uint8 ``[T, H, W, 3]``.
            source: of the video behind, which is also the truth for metrics that need one.
        """
        for name, meter in list(self._meters.items()):
            needs = self._metrics[name].needs
            with self._noting_errors(name):
                chunk = ClipChunk(
                    start,
                    result,
                    source if "source" in needs else None,
                    source if "truth" in needs else None,
                )
                meter.add(chunk)

    def finish(self) -> dict[str, State | RetalkingError]:
        """Return the state of the clip by metric, or why it has none."""
        states: dict[str, State | RetalkingError] = {}
        for name, meter in list(self._meters.items()):
            with self._noting_errors(name):
                states[name] = meter.finish()
        return states | self._errors

    @contextmanager
    def _noting_errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except RetalkingError as error:
            self._meters.pop(name, None)
            self._errors[name] = error


def _require_faces(metric: Metric, clip: Clip) -> None:
    missing = sorted(need for need in metric.needs & _TRACKS if getattr(clip, need) is None)
    if missing:
        which = missing[0].removesuffix("_track")
        raise FaceNotFoundError(f"no face found in the {which} video")
