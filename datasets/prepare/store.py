"""Prepare many clips in parallel: resumable, with an account of what was left out and why."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import torch

from datasets.prepare.clip import ClipPreparer
from datasets.prepare.manifest import ClipRow
from datasets.prepare.settings import PreparationSettings
from datasets.store.format import (
    COEFFICIENTS,
    OUTCOMES,
    RUN_MARK,
    TRACKS,
    StoreInfo,
    part_path,
    read_store_info,
    write_json,
    write_part,
    write_store_info,
)
from datasets.store.index import build_index, check_names
from retalking.errors import ConfigError, FaceNotFoundError, MediaError, RetalkingError
from retalking.shard import Shard

_AHEAD = 4  # rows handed out per worker; keeps memory small for corpora of any size


@dataclass(frozen=True)
class Outcome:
    """What became of a row of the manifest.

    Attributes:
        clip: the row's.
        clips: names of the clips it gave; none if it was left out.
        num_frames: of all of them.
        num_bytes: on disk.
        reason: why it was left out.
    """

    clip: str
    clips: tuple[str, ...] = ()
    num_frames: int = 0
    num_bytes: int = 0
    reason: str = ""


def prepare_store(
    folder: Path,
    rows: Sequence[ClipRow],
    settings: PreparationSettings,
    num_workers: int,
    observe: Callable[[Outcome, int], None] = lambda outcome, num_done: None,
    shard: Shard = Shard(),  # noqa: B008 - frozen
    retry: bool = False,
) -> list[Outcome]:
    """Prepare what is not yet prepared, then write index and report.

    Several machines may share out one store by shards; the one that ends last writes the index of
    all, and a call after the last finds nothing left to do but that.

    Args:
        folder: of the store; made if missing. The same call goes on after an interruption.
        rows: of the manifest.
        settings: the same ones for all clips of a store.
        num_workers: processes; 0 works in this one.
        observe: told of each outcome and how many there are so far.
        shard: share of the rows to prepare here.
        retry: try rows again that were left out before.

    Returns:
        The outcome of every row of the shard.

    Raises:
        ConfigError: two clips have one name, a name is too long, or the store was begun with other
            settings.
        MediaError: the store cannot be written, for example because the disk is full.
    """
    begin = time.monotonic()
    check_names([f"{row.clip}{RUN_MARK}1" for row in rows])
    _open_store(folder, settings)
    outcomes: list[Outcome] = []
    open_rows: list[ClipRow] = []
    for row in shard.of(rows):
        known = _read_outcome(folder, row.clip)
        if known is None or (retry and known.reason):
            open_rows.append(row)
        else:
            outcomes.append(known)
            observe(known, len(outcomes))
    try:
        for outcome in _prepare_all(folder, open_rows, settings, num_workers):
            outcomes.append(outcome)
            observe(outcome, len(outcomes))
    finally:
        _finish(folder, rows, begin)  # after an interruption as well: what there is can be used
    return outcomes


def _finish(folder: Path, rows: Sequence[ClipRow], begin: float) -> None:
    found = (_read_outcome(folder, row.clip) for row in rows)
    outcomes = [outcome for outcome in found if outcome is not None]
    build_index(folder, [name for outcome in outcomes for name in outcome.clips])
    write_report(folder, outcomes, time.monotonic() - begin)


def write_report(folder: Path, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Write ``report.json``: totals, and each row left out with its reason."""
    skipped = {outcome.clip: outcome.reason for outcome in outcomes if outcome.reason}
    write_json(
        folder / "report.json",
        {
            "rows": len(outcomes),
            "skipped": len(skipped),
            "clips": sum(len(outcome.clips) for outcome in outcomes),
            "frames": sum(outcome.num_frames for outcome in outcomes),
            "bytes": sum(outcome.num_bytes for outcome in outcomes),
            "seconds_of_last_run": round(seconds, 1),
            "reasons": dict(Counter(summarise(reason) for reason in skipped.values())),
            "skipped_rows": skipped,
        },
    )


def summarise(reason: str) -> str:
    """Return a reason without the file it is about and without its numbers."""
    text = reason.split(": ", 1)[-1]
    return " ".join("N" if any(c.isdigit() for c in word) else word for word in text.split())


def _open_store(folder: Path, settings: PreparationSettings) -> None:
    wanted = settings.model_dump(mode="json")
    if (folder / "store.json").exists():
        # What a store does not name was no setting yet when it was begun.
        present = wanted | dict(read_store_info(folder).settings)
        if present != wanted:
            names = [name for name in wanted if present.get(name) != wanted[name]]
            raise ConfigError(
                f"{folder}: was begun with other settings ("
                + ", ".join(f"{n}: {present.get(n)}, now {wanted[n]}" for n in names)
                + "); use the same ones or another folder"
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: cannot be made: {error.strerror}") from error
    write_store_info(folder, StoreInfo(wanted, (*settings.parts, COEFFICIENTS)))


def _read_outcome(folder: Path, clip: str) -> Outcome | None:
    path = part_path(folder, OUTCOMES, clip, ".json")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(**{**values, "clips": tuple(values["clips"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there or not whole: prepared again


def _prepare_all(
    folder: Path, rows: Sequence[ClipRow], settings: PreparationSettings, num_workers: int
) -> Iterator[Outcome]:
    if not rows:
        return
    if num_workers == 0:
        worker = _Worker(folder, settings)
        yield from map(worker.prepare, rows)
        return
    pool = ProcessPoolExecutor(
        num_workers, multiprocessing.get_context("spawn"), _start_worker, (folder, settings)
    )
    waiting = iter(rows)
    running: set[Future[Outcome | RetalkingError]] = set()
    try:
        while True:
            for row in waiting:
                running.add(pool.submit(_prepare_in_worker, row))
                if len(running) >= _AHEAD * num_workers:
                    break
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                if isinstance(outcome, RetalkingError):
                    raise outcome
                yield outcome
    except BrokenProcessPool as error:
        raise RetalkingError(
            "a preparing process died, perhaps for lack of memory; the same command goes on, with "
            "fewer --workers if need be"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """Prepares rows and writes what comes of them."""

    def __init__(self, folder: Path, settings: PreparationSettings) -> None:
        self._folder = folder
        self._preparer = ClipPreparer(settings)

    def prepare(self, row: ClipRow) -> Outcome:
        try:
            clips = self._preparer.prepare(row)
        except (MediaError, FaceNotFoundError) as error:
            outcome = Outcome(row.clip, reason=str(error))
        else:
            num_bytes = 0
            for clip in clips:
                # The tracks come last: a clip with tracks is complete.
                for part, arrays in reversed(clip.parts.items()):
                    notes = clip.notes if part == TRACKS else None
                    num_bytes += write_part(self._folder, part, clip.name, arrays, notes)
            num_frames = sum(len(clip.parts[TRACKS]["time_s"]) for clip in clips)
            names = tuple(clip.name for clip in clips)
            outcome = Outcome(row.clip, names, num_frames, num_bytes)
        write_json(part_path(self._folder, OUTCOMES, row.clip, ".json"), asdict(outcome))
        return outcome


_worker: _Worker | None = None  # one per process of the pool


def _start_worker(folder: Path, settings: PreparationSettings) -> None:
    global _worker  # noqa: PLW0603 - the pool offers no other place for a worker's state
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(folder, settings)


def _end_with_parent() -> None:
    """A parent that was killed cannot tell its workers, which would wait for rows for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _prepare_in_worker(row: ClipRow) -> Outcome | RetalkingError:
    assert _worker is not None
    try:
        return _worker.prepare(row)
    except RetalkingError as error:
        return error  # some errors do not survive the way back as exceptions
