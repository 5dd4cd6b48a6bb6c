"""Jobs one after the other, on a thread of their own."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from retalking.errors import CancelledError, RetalkingError
from retalking.progress import Listener, Progress, Wish
from retalking.web.jobs import Job, JobStore, NoSuchFileError

logger = logging.getLogger(__name__)

Work = Callable[[Job, Listener, Wish], str]
"""Does a job, tells how far it is, ends with ``CancelledError`` if wished; returns a message."""


@dataclass(frozen=True)
class Standing:
    """Where a job stands.

    Attributes:
        job: see there.
        place: how many jobs come before it, while it waits.
        progress: how far it is, while it runs.
    """

    job: Job
    place: int = 0
    progress: Progress | None = None


class JobQueue:
    """Works off the waiting jobs of a store.

    Jobs that waited or ran when an earlier program ended are taken up again; finished frames of
    these are kept, so that they go on where they were.
    """

    def __init__(self, store: JobStore, work: Work) -> None:
        """Take the waiting jobs of a store; ``start`` begins with them."""
        self._store, self._work = store, work
        self._changed = threading.Condition()
        left = [job for job in store.all() if job.state in ("waiting", "running")]
        self._waiting = [job.id for job in left]
        self._running: str | None = None
        self._progress: Progress | None = None
        self._wishes: set[str] = set()
        self._stops = False
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """End soon; the running job waits for the next start."""
        with self._changed:
            self._stops = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def submit(self, job: Job) -> None:
        """Put a job at the end."""
        with self._changed:
            self._waiting.append(job.id)
            self._changed.notify_all()

    @property
    def num_waiting(self) -> int:
        """How many jobs wait."""
        with self._changed:
            return len(self._waiting)

    def cancel(self, job_id: str) -> None:
        """End a job that waits or runs."""
        with self._changed:
            if job_id in self._waiting:
                self._waiting.remove(job_id)
                job = self._store.load(job_id)
                self._store.save(dataclasses.replace(job, state="cancelled"))
            elif job_id == self._running:
                self._wishes.add(job_id)

    def look(self, job_id: str) -> Standing:
        """Return where a job stands.

        Raises:
            NoSuchFileError: there is none of this id.
        """
        with self._changed:
            job = self._store.load(job_id)
            if job_id == self._running:
                return Standing(dataclasses.replace(job, state="running"), 0, self._progress)
            if job_id in self._waiting:
                place = self._waiting.index(job_id) + (self._running is not None)
                return Standing(dataclasses.replace(job, state="waiting"), place)
            return Standing(job)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stops or self._waiting)
                if self._stops:
                    return
                self._running, self._progress = self._waiting.pop(0), None
            try:
                self._do(self._running)
            finally:
                with self._changed:
                    self._wishes.discard(self._running)
                    self._running = None

    def _do(self, job_id: str) -> None:
        try:
            job = self._store.load(job_id)
        except NoSuchFileError:
            return  # its folder was deleted meanwhile
        self._store.save(dataclasses.replace(job, state="running"))
        try:
            message = self._work(job, self._note, lambda: self._stops or job_id in self._wishes)
            done = dataclasses.replace(job, state="done", message=message)
        except CancelledError:
            state = "cancelled" if job_id in self._wishes else "waiting"
            done = dataclasses.replace(job, state=state)  # type: ignore[arg-type]
        except (RetalkingError, OSError) as error:
            text = str(error).replace(f"{self._store.folder / job_id}{os.sep}", "")
            done = dataclasses.replace(job, state="failed", message=text)
        except Exception as error:  # a fault of ours must not end the others' jobs
            logger.exception("job %s", job_id)
            text = f"a fault of the program: {type(error).__name__}: {error}"
            done = dataclasses.replace(job, state="failed", message=text)
        self._store.save(done)

    def _note(self, progress: Progress) -> None:
        self._progress = progress
