"""Threads that end, failures that arrive, queues that do not grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from retalking.media.prefetch import WriteBehind, read_ahead


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def wait_until(condition: threading.Event) -> None:
    assert condition.wait(5)


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_values_come_in_order(depth: int, count: int) -> None:
    assert list(read_ahead(range(count), depth)) == list(range(count))


def test_values_are_drawn_on_another_thread() -> None:
    names = list(read_ahead(threading.current_thread().name for _ in range(2)))
    assert names == ["read-ahead"] * 2


def test_none_is_a_value() -> None:
    assert list(read_ahead([None, 0, None])) == [None, 0, None]


def test_a_failure_arrives_after_the_values_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("frame 3 is broken")

    values = read_ahead(source())
    assert [next(values), next(values)] == [1, 2]
    with pytest.raises(ValueError, match="frame 3 is broken"):
        next(values)
    assert next(values, "end") == "end"


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_no_more_than_the_depth_waits(depth: int) -> None:
    drawn: list[int] = []

    def source() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    values = read_ahead(source(), depth)
    for number in range(5):
        assert next(values) == number
        time.sleep(0.02)
        # One in use, `depth` waiting, one in the hand of the thread.
        assert len(drawn) <= number + 1 + depth + 1
    values.close()


def test_closing_early_ends_the_thread_and_draws_no_more() -> None:
    drawn: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            drawn.append(len(drawn))
            yield drawn[-1]

    values = read_ahead(endless())
    next(values)
    values.close()
    count = len(drawn)
    time.sleep(0.15)
    assert len(drawn) == count


def test_a_consumer_that_fails_ends_the_thread() -> None:
    def consume() -> None:
        for value in read_ahead(iter(range(100))):
            if value == 3:
                raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        consume()


def test_closing_before_the_first_value_starts_nothing() -> None:
    drawn: list[int] = []
    values = read_ahead(drawn.append(n) or n for n in range(3))  # type: ignore[func-returns-value]
    values.close()
    assert drawn == []


def test_everything_put_is_written_in_order_before_the_block_ends() -> None:
    written: list[int] = []

    def write(value: int) -> None:
        time.sleep(0.002)
        written.append(value)

    with WriteBehind(write) as writer:
        for value in range(20):
            writer.put(value)
    assert written == list(range(20))


@pytest.mark.parametrize("depth", [0, 1])
def test_writing_happens_on_another_thread_and_blocks_when_it_lags(depth: int) -> None:
    go, put = threading.Event(), []
    names: list[str] = []

    def write(_: int) -> None:
        names.append(threading.current_thread().name)
        wait_until(go)

    def produce(writer: WriteBehind[int]) -> None:
        for value in range(4):
            writer.put(value)
            put.append(value)

    with WriteBehind(write, depth) as writer:
        producer = threading.Thread(target=produce, args=(writer,))
        producer.start()
        time.sleep(0.1)
        assert len(put) <= 1 + depth  # one being written, the others waiting
        go.set()
        producer.join(5)
    assert put == [0, 1, 2, 3]
    assert set(names) == {"write-behind"}


def test_a_failure_is_raised_at_the_next_put_and_later_values_are_dropped() -> None:
    written: list[int] = []

    def write(value: int) -> None:
        if value == 1:
            raise OSError("disk full")
        written.append(value)

    def produce() -> None:
        with WriteBehind(write) as writer:
            for value in range(1000):
                writer.put(value)
                time.sleep(0.001)

    with pytest.raises(OSError, match="disk full"):
        produce()
    assert written == [0]


def test_a_failure_of_the_last_value_is_raised_on_leaving() -> None:
    def write(_: int) -> None:
        time.sleep(0.02)
        raise OSError("disk full")

    writer = WriteBehind(write)
    with pytest.raises(OSError, match="disk full"), writer:
        writer.put(0)


def test_a_failure_of_the_block_itself_is_not_hidden() -> None:
    def write(_: int) -> None:
        raise OSError("disk full")

    def produce() -> None:
        with WriteBehind(write) as writer:
            writer.put(0)
            raise KeyError("the block's own")

    with pytest.raises(KeyError, match="the block's own"):
        produce()
