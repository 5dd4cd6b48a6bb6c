"""Learn a person from videos, so that a photograph or two seconds of video have own teeth and lips.

    python scripts/personalise.py --face talk.mp4 [more.mp4 ...] --out person/
    python inference.py --profile lite --speaker person/ --face photo.jpg --audio speech.wav

Says what the videos lack, writes what they show; a minute of video takes minutes on two cores. See
docs/finetune_one_person.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from retalking.exit_code import report_mistakes
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.personal.learning import Learnt, check_folder, learn_person
from retalking.speech.lip_shapes import SHAPE_NAMES


@report_mistakes("interrupted: no person was written")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--face", type=Path, nargs="+", required=True, help="videos of one person")
    parser.add_argument("--out", type=Path, required=True, help="folder of the person")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as in inference.py"
    )
    parser.add_argument("--verbose", action="store_true", help="more log")
    options = parser.parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", stream=sys.stderr)
    check_folder(options.out)
    begun = time.monotonic()
    config = load_profile("lite", {"mouth": "warp", "speaker": None}, options.set)
    learnt = learn_person(options.face, Retalker(config), progress=True)
    learnt.save(options.out)
    print(describe(learnt))
    print(f"{options.out}: written after {time.monotonic() - begun:.0f} s")
    return 0


def describe(learnt: Learnt) -> str:
    """Say what was learnt, and what is missing."""
    seconds = sum(video.seconds for video in learnt.videos)
    bank, lips = learnt.person.bank, learnt.lips
    lines = [
        f"{len(learnt.videos)} videos, {seconds:.0f} s with the face",
        f"mouths kept: {len(bank)} ({bank.num_bytes / 1e6:.1f} MB)",
    ]
    if lips.network is None:
        lines.append("speech: the common network tells these lips as well as an own one; kept")
    else:
        pairs = zip(SHAPE_NAMES, lips.before, lips.after, strict=True)
        told = ", ".join(f"{name} {a:.2f} -> {b:.2f}" for name, a, b in pairs)
        lines.append(f"speech: correlation on pieces left out: {told}")
    lines += [f"missing: {sentence}" for sentence in learnt.advice] or ["nothing is missing"]
    return "\n".join(lines)


if __name__ == "__main__":
    run_entry_point(main)
