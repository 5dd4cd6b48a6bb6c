"""Dub the bundled sample, or media of one's own, with the embedded weights.

    bash scripts/demo.sh
    bash scripts/demo.sh --face my_video.mp4 --audio my_speech.wav

Writes ``dubbed.mp4`` and ``contact_sheet.png``: frames before and after, and the speech. Needs no
download. Run it again as often as you like; files appear only when they are complete.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from retalking.errors import MediaError
from retalking.exit_code import report_mistakes
from retalking.inference.pipeline import Retalker
from retalking.locations import REPOSITORY
from retalking.media.images import save_image
from retalking.media.sound.audio_info import probe_audio
from retalking.media.video_info import probe
from retalking.review.compare import compare

SAMPLE = REPOSITORY / "assets" / "sample"


@report_mistakes("interrupted; the same command goes on")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="demo.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--face", type=Path, default=SAMPLE / "talk.mp4", help="video or still image with a face"
    )
    parser.add_argument(
        "--audio", type=Path, default=SAMPLE / "speech.wav", help="any file with a speech track"
    )
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "demo", help="folder (default %(default)s)"
    )
    parser.add_argument("--max-seconds", type=float, help="stop after this much output")
    options = parser.parse_args(arguments)
    run_demo(options.face, options.audio, options.out, options.max_seconds)
    return 0


def run_demo(face: Path, speech: Path, out: Path, max_seconds: float | None = None) -> None:
    """Dub a video, draw its contact sheet, and say where they are.

    Args:
        face: video or still image.
        speech: anything with an audio stream.
        out: folder, made if it is not there.
        max_seconds: stop after this much output.

    Raises:
        RetalkingError: see ``Retalker``; or the folder cannot be made.
    """
    probe(face)
    probe_audio(speech)
    retalker = Retalker.from_profile("lite", max_seconds=max_seconds)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{out}: cannot be made a folder: {error.strerror}") from error
    dubbed, sheet = out / "dubbed.mp4", out / "contact_sheet.png"
    report = retalker(face, speech, dubbed, progress=True)
    save_image(sheet, compare(face, dubbed))
    print(f"video:         {dubbed} ({report.num_frames} frames, {report.num_edited} edited)")
    print(f"contact sheet: {sheet}")


if __name__ == "__main__":
    run_entry_point(main)
