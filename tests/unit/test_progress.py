"""How far a job says it is, and that it can be stopped."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from retalking import progress
from retalking.errors import CancelledError
from retalking.progress import DUBBING, TRACKING, Progress, Watch, watching


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds on the clock, to be moved by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_follows_from_what_frames_have_taken(clock: list[float]) -> None:
    told: list[Progress] = []
    watch = Watch(told.append)
    watch.expect(DUBBING, 100)
    watch.begin(TRACKING, 50)
    assert told[-1].left_s is None  # nobody knows yet
    for _ in range(5):
        clock[0] += 1.0
        watch.advance(TRACKING, 10)
    # 0.1 s a frame; dubbing is priced against it until it tells itself.
    assert told[-1].left_s == pytest.approx(100 * 0.1 * 1.3)
    clock[0] += 7.0  # something between the stages
    watch.begin(DUBBING, 100)
    for _ in range(10):
        clock[0] += 4.0
        watch.advance(DUBBING, 10)
        assert told[-1].left_s == pytest.approx(0.4 * (100 - told[-1].done))
    shares = [seen.share for seen in told]
    assert shares == sorted(shares)
    assert told[-1] == Progress(DUBBING, 100, 100, 1.0, 0.0)


def test_a_listener_is_not_told_too_often(clock: list[float]) -> None:
    told: list[Progress] = []
    watch = Watch(told.append)
    watch.begin(DUBBING, 1000)
    for _ in range(1000):
        clock[0] += 0.001
        watch.advance(DUBBING, 1)
    assert 10 <= len(told) <= 12
    assert told[-1].share == 1.0


def test_a_wish_ends_the_job() -> None:
    wishes = iter([False, False, True])
    with watching(False, lambda: next(wishes)) as watch:
        watch.begin(DUBBING, 3)
        watch.advance(DUBBING, 1)
        with pytest.raises(CancelledError, match="no output was written"):
            watch.advance(DUBBING, 1)


def test_the_bar_is_of_the_whole_job() -> None:
    with redirect_stderr(io.StringIO()) as shown, watching(True) as watch:
        watch.begin(TRACKING, None)
        watch.begin(DUBBING, 2)
        watch.advance(DUBBING, 2)
    assert "dubbing 2/2: 100%" in shown.getvalue()
    assert "00:00 left" in shown.getvalue()
