"""Turn SIGINT, SIGTERM and SIGHUP into a request that the loop reads between two updates."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from retalking.exit_code import ENDING_SIGNALS


@contextmanager
def heed_signals() -> Iterator[list[str]]:
    """Yield a list that receives the name of the first signal.

    The second one acts as usual, so that a loop that hangs can be ended. Main thread only.
    """
    received: list[str] = []
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # What is ignored, as nohup has it, goes on being ignored.
    before = {number: known for number, known in handlers.items() if known is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        restore()

    for number in before:
        signal.signal(number, receive)
    try:
        yield received
    finally:
        restore()
