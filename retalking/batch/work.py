"""What one worker does: it holds networks, and makes one dub, or part of one, after another."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from dataclasses import dataclass

import cv2
import torch

from retalking.batch.jobs import BatchJob
from retalking.config import section_values
from retalking.errors import RetalkingError
from retalking.inference.dub import Dub, review_dub, share_out
from retalking.inference.pipeline import Retalker
from retalking.networks.load import Parts
from retalking.networks.options import FaceNetworksSection, MouthNetworksSection, RunnerSection
from retalking.rendering.parts import Part
from retalking.review.review import Review

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """Something that a worker is asked to do.

    Attributes:
        number: of the job in its list.
        job: see there.
        part_s: length of the parts in which a longer output is made; ``None`` makes it at once.
        looks_only: analyse the video, so that other jobs find the analysis.
        parts: of an output that is shared out, all of them.
        only: make this part of it; without it, put the parts together.
    """

    number: int
    job: BatchJob
    part_s: float | None = None
    looks_only: bool = False
    parts: tuple[Part, ...] = ()
    only: Part | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        fault: why nothing did, in one line; empty if all went well.
        num_frames: of the output.
        seconds: that it took.
        parts: into which the output is to be shared out; nothing else has been done then.
        verdict: of the report, in one line; empty without one.
    """

    fault: str = ""
    num_frames: int = 0
    seconds: float = 0.0
    parts: tuple[Part, ...] = ()
    verdict: str = ""


def set_threads(num_threads: int, num_workers: int) -> None:
    """Settle with how many threads this process, one of so many on the machine, computes.

    Args:
        num_threads: of torch. Its sums differ in their last bits from one number to another, so
            that results equal those of a single job only if the job computes with as many.
        num_workers: among whom the threads of OpenCV are shared, which change nothing.
    """
    torch.set_num_threads(num_threads)
    cv2.setNumThreads(max(1, (os.cpu_count() or 1) // num_workers))


class Worker:
    """Does tasks; networks stay loaded as long as jobs ask for the same ones."""

    def __init__(self) -> None:
        self._asked: dict[str, object] = {}
        self._parts: Parts | None = None

    def do(self, task: Task) -> Outcome:
        """Do a task; whatever goes wrong with it is told, not raised."""
        begin_s = time.perf_counter()
        try:
            outcome = self._do(task)
        except RetalkingError as error:
            outcome = Outcome(str(error))
        except OSError as error:
            outcome = Outcome(f"{error.filename or task.job.face}: {error.strerror or error}")
        except Exception as error:  # a fault of ours must not end the other jobs
            logger.exception("%s: a fault of the program", task.job.outfile)
            outcome = Outcome(f"a fault of the program: {type(error).__name__}: {error}")
        fault = " ".join(outcome.fault.split())
        return dataclasses.replace(outcome, fault=fault, seconds=time.perf_counter() - begin_s)

    def _do(self, task: Task) -> Outcome:
        job, retalker = task.job, self._retalker(task.job)
        if task.looks_only:
            retalker.prepare(job.face).close()
            return Outcome()
        if task.part_s is None and not task.parts:
            job.outfile.parent.mkdir(parents=True, exist_ok=True)
            wants_review = job.report is not None
            report = retalker(job.face, job.audio, job.outfile, review=wants_review)
            return _finished(job, report.num_frames, report.review)
        if task.parts:  # their analysis, and those that are done, are not to be ignored
            config = job.config.model_copy(update={"re_preprocess": False})
            retalker = Retalker(config, retalker.parts)
        with retalker.prepare(job.face) as scene:
            dub = _share_out(retalker.plan(scene, job.audio), task)
            if task.only is not None:
                retalker.render_part(dub, task.only)
                return Outcome()
            if task.part_s is not None and len(dub.parts) > 1:
                return Outcome(parts=dub.parts)
            job.outfile.parent.mkdir(parents=True, exist_ok=True)
            num_frames, review = retalker.write(dub, job.outfile).num_frames, None
            if job.report is not None:
                review = review_dub(dub, job.outfile, retalker.parts, retalker.config)
            return _finished(job, num_frames, review)

    def _retalker(self, job: BatchJob) -> Retalker:
        sections = (RunnerSection, MouthNetworksSection, FaceNetworksSection)
        asked = section_values(job.config, sections)
        if self._parts is None or asked != self._asked:
            self._parts = None  # two sets of networks may be more than the memory holds
            retalker = Retalker(job.config)
            self._parts, self._asked = retalker.parts, asked
            return retalker
        return Retalker(job.config, self._parts)


def analysis_of(job: BatchJob) -> tuple[object, ...]:
    """Return what two jobs have in common if one first pass serves both."""
    config = job.config
    return job.face.resolve(), config.face_image, config.tmp_dir, repr(config.analysis_values())


def _finished(job: BatchJob, num_frames: int, review: Review | None) -> Outcome:
    if review is None or job.report is None:
        return Outcome(num_frames=num_frames)
    review.save(job.report)
    verdict = review.lines()[0].removeprefix("review: ")
    return Outcome(num_frames=num_frames, verdict=verdict)


def _share_out(dub: Dub, task: Task) -> Dub:
    if task.part_s is not None:
        return share_out(dub, task.part_s)
    return dataclasses.replace(dub, parts=task.parts)
