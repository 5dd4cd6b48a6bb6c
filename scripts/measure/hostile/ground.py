"""What cases run on: networks that are loaded once, a healthy clip, and kept work of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from retalking.inference.dub import Dub
from retalking.inference.pipeline import Retalker
from retalking.rendering.finished_frames import FinishedFrames

_SHOWN_S = 0.08  # two frames


@dataclass(frozen=True)
class Ground:
    """A folder to work in, and everything that is the same in all cases.

    Attributes:
        seeds: folder of ``write_seeds``; read only.
        case: folder for the files of one case, emptied before each.
        analysis: folder with the kept first pass of the healthy clip.
        frames: folder with its finished frames.
        retalker: with the lite profile; it keeps its work in ``case``.
        dub: the healthy clip with the healthy speech.
    """

    seeds: Path
    case: Path
    analysis: Path
    frames: Path
    retalker: Retalker
    dub: Dub

    @classmethod
    def prepare(cls, seeds: Path, folder: Path) -> Ground:
        """Load the networks and dub the clip."""
        case, analysis, frames = (folder / name for name in ("case", "analysis", "frames"))
        retalker = Retalker.from_profile(
            "lite", max_seconds=_SHOWN_S, preset="ultrafast", tmp_dir=case / "cache"
        )
        scene = retalker.prepare(seeds / "talk.mp4")
        dub = retalker.plan(scene, seeds / "speech.wav")
        for _ in retalker.render(dub, kept=FinishedFrames(frames)):
            pass
        shutil.copytree(case / "cache", analysis)
        return cls(seeds, case, analysis, frames, retalker, dub)

    def clear(self) -> None:
        """Remove what the case before has left."""
        shutil.rmtree(self.case, ignore_errors=True)
        self.outfile().parent.mkdir(parents=True)

    def outfile(self, suffix: str = ".mp4") -> Path:
        """Where the result of a case goes, alone in its folder."""
        return self.case / "out" / f"out{suffix}"

    def write(self, name: str, content: bytes) -> Path:
        """Write a file of the case."""
        path = self.case / name
        path.write_bytes(content)
        return path
