"""Turn SIGINT and SIGTERM into a request that the training loop reads between two updates."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def heed_signals() -> Iterator[list[str]]:
    """Yield a list that receives the name of the first signal.

    The second one acts as usual, so that a loop that hangs can be ended. Main thread only.
    """
    received: list[str] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        restore()

    for number in SIGNALS:
        signal.signal(number, receive)
    try:
        yield received
    finally:
        restore()
