"""How far a job is, for bars, pages and programs; and the way to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from retalking.errors import CancelledError

TRACKING, DUBBING, REVIEWING = "face tracking", "dubbing", "reviewing"
_COST = {TRACKING: 1.0, DUBBING: 1.3, REVIEWING: 2.0}
"""What a frame costs in a stage that has not begun, against other stages (lite, the sample)."""
_ENOUGH_S = 0.5
"""A stage that has lasted for so long tells by itself what its frames cost."""
_TOLD_EVERY_S = 0.1


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: what is being done: ``face tracking``, ``dubbing``, ``reviewing``.
        done: frames of this stage that are done.
        total: frames of this stage; ``None`` if the file does not tell.
        share: of the whole job that is done, in [0, 1]; it never falls.
        left_s: seconds until the job ends, as far as one can tell; ``None`` at its beginning.
    """

    stage: str
    done: int
    total: int | None
    share: float
    left_s: float | None


Listener = Callable[[Progress], object]
"""Is told how far a job is, ten times a second at most and at the end; on the job's thread."""
Wish = Callable[[], bool]
"""Answers whether a job is to stop."""


@dataclass
class _Stage:
    total: int | None
    done: int = 0
    seconds: float = 0.0


class Watch:
    """Counts the frames of a job, tells a listener, and stops the job when that is wished."""

    def __init__(self, listener: Listener | None = None, cancel: Wish | None = None) -> None:
        self._listener = listener
        self._cancel = cancel
        self._stages: dict[str, _Stage] = {}
        self._begin_s = self._last_s = time.monotonic()
        self._told_s = float("-inf")
        self._share = 0.0

    def expect(self, stage: str, total: int | None) -> None:
        """Say how many frames a stage will have; ``None``: nobody knows."""
        self._stages.setdefault(stage, _Stage(total)).total = total

    def begin(self, stage: str, total: int | None) -> None:
        """Begin a stage, or begin it again for more frames: time that has passed is none of its."""
        done = self._stages[stage].done if stage in self._stages else 0
        self.expect(stage, None if total is None else done + total)
        self._last_s = time.monotonic()
        self.advance(stage, 0)

    def advance(self, stage: str, frames: int) -> None:
        """Count frames of a stage that are done.

        Raises:
            CancelledError: somebody wished so.
        """
        if self._cancel is not None and self._cancel():
            raise CancelledError("cancelled: no output was written")
        now_s = time.monotonic()
        current = self._stages[stage]
        current.done += frames
        current.seconds += now_s - self._last_s
        self._last_s = now_s
        ends = REVIEWING if REVIEWING in self._stages else DUBBING
        is_last = stage == ends and current.done == current.total
        if self._listener is not None and (is_last or now_s - self._told_s >= _TOLD_EVERY_S):
            self._told_s = now_s
            self._listener(self._progress(stage, 0.0 if is_last else self._left_s()))

    def _progress(self, stage: str, left_s: float | None) -> Progress:
        if left_s is not None:
            passed_s = time.monotonic() - self._begin_s
            self._share = max(self._share, passed_s / max(passed_s + left_s, 1e-9))
        current = self._stages[stage]
        return Progress(stage, current.done, current.total, self._share, left_s)

    def _left_s(self) -> float | None:
        """Frames that are left, each at the price of those before, or else of other stages."""
        told = {
            name: stage.seconds / stage.done
            for name, stage in self._stages.items()
            if stage.done and stage.seconds >= _ENOUGH_S
        }
        if not told:
            return None
        unit_s = sum(told[name] / _COST[name] for name in told) / len(told)
        return sum(
            max((stage.total or stage.done) - stage.done, 0) * told.get(name, unit_s * _COST[name])
            for name, stage in self._stages.items()
        )


Watched = bool | Listener | Watch
"""``True`` for a bar on stderr, a listener, or what already watches the whole job."""


@contextmanager
def watching(progress: Watched, cancel: Wish | None = None) -> Iterator[Watch]:
    """Yield what a job counts its frames with.

    Args:
        progress: see ``Watched``.
        cancel: asked after every chunk of frames.
    """
    if isinstance(progress, Watch):
        yield progress
    elif progress is True:
        form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
        with tqdm(total=1.0, desc="starting", bar_format=form) as bar:

            def show(seen: Progress) -> None:
                bar.set_description_str(f"{seen.stage} {seen.done}/{seen.total or '?'}", False)
                left = "?" if seen.left_s is None else tqdm.format_interval(seen.left_s)
                bar.set_postfix_str(f"{left} left", False)
                bar.update(seen.share - bar.n)

            yield Watch(show, cancel)
    else:
        yield Watch(progress or None, cancel)
