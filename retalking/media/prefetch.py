"""Decode, compute and encode at the same time, with a bounded number of values in between."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Generic, TypeVar

Value = TypeVar("Value")
_END = object()


def read_ahead(values: Iterable[Value], depth: int = 1) -> Generator[Value, None, None]:
    """Draw values on a thread of its own, ahead of the consumer.

    At most ``depth`` values wait while one more is being drawn.
    An exception of the source is raised here, in the place of the value it prevented. Closing the
    generator ends the thread.
    """
    slots: queue.SimpleQueue[object] = queue.SimpleQueue()
    room = threading.Semaphore(depth + 1)
    abandoned = threading.Event()
    failures: list[BaseException] = []

    def draw() -> None:
        try:
            source = iter(values)
            while room.acquire() and not abandoned.is_set():
                value = next(source, _END)
                slots.put(value)
                if value is _END:
                    return
                del value  # not to be held until the next one is there
        except BaseException as error:
            failures.append(error)
            slots.put(_END)

    thread = threading.Thread(target=draw, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (value := slots.get()) is not _END:
            room.release()
            yield value  # type: ignore[misc]
        if failures:
            raise failures[0]
    finally:
        abandoned.set()
        room.release()
        thread.join()


class WriteBehind(Generic[Value]):
    """Hands values to a function on a thread of its own, at most ``depth`` waiting.

    Leaving the ``with`` block waits for what is pending. A failure of the function is raised at the
    next ``put`` or on leaving; values put after a failure are dropped.
    """

    def __init__(self, consume: Callable[[Value], None], depth: int = 1) -> None:
        self._consume = consume
        self._slots: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._room = threading.Semaphore(depth + 1)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._drain, name="write-behind", daemon=True)

    def __enter__(self) -> WriteBehind[Value]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._slots.put(_END)
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def put(self, value: Value) -> None:
        """Queue a value; blocks while others fill the room."""
        self._room.acquire()
        if self._failure is not None:
            self._room.release()
            raise self._failure
        self._slots.put(value)

    def _drain(self) -> None:
        while (value := self._slots.get()) is not _END:
            if self._failure is None:
                try:
                    self._consume(value)  # type: ignore[arg-type]
                except BaseException as error:
                    self._failure = error
            del value  # not to be held until the next one comes
            self._room.release()
