"""Make the bundled sample of the demo from free material: a video of a portrait, and a speech.

    apt-get install flite
    python -m scripts.lite.make_sample --out assets/sample

In the video the portrait (``assets/sample/portrait.jpg``) drifts, turns and comes nearer, smoothly
and the same in every run. The speech is synthesised by Flite. Prints the rows of
``assets/sample/SOURCES.md``; the files' bytes depend on the encoders' versions.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
from fractions import Fraction
from pathlib import Path

from retalking.script import run_entry_point

import cv2
import numpy as np

from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.files import check_writable
from retalking.media.images import load_image
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.types import Float64Array, UInt8Array, VideoInfo

TEXT = "Hello! I was a photograph. Now my mouth follows this voice, word by word."
SPEECH_COMMAND = ("flite", "-voice", "slt", "-t", TEXT, "-o")
NUM_FRAMES = 132  # 5.28 s, just longer than the speech
FRAME_RATE = Fraction(25)
WIDTH_PX = HEIGHT_PX = 448  # leaves room for the motion within the portrait's 512
_REACH = np.array([9.0, 5.0, 2.5, 0.04])
"""How far the motion goes: right and down in portrait pixels, roll in degrees, zoom as a share."""
_MAX_CYCLES = 3  # the quickest sway takes 1.8 s
_SEED = 5


@report_mistakes()
def main() -> int:
    """Write the files and print their hashes; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("assets/sample"), help="existing folder")
    out: Path = parser.parse_args().out
    portrait = load_image(out / "portrait.jpg")
    write_video(out / "talk.mp4", portrait, source=out / "portrait.jpg")
    synthesise_speech(out / "speech.wav")
    for name in ("portrait.jpg", "talk.mp4", "speech.wav"):
        content = (out / name).read_bytes()
        print(f"| `{name}` | {len(content)} | `{hashlib.sha256(content).hexdigest()}` |")
    return 0


def sway(num_frames: int, seed: int = _SEED) -> Float64Array:
    """Draw a smooth motion that ends where it began.

    Returns:
        float64 ``[num_frames, 4]``: columns as in ``_REACH`` and within it.
    """
    random = np.random.default_rng(seed)
    cycles = np.arange(1, _MAX_CYCLES + 1)
    phases = random.uniform(0, 2 * np.pi, (len(_REACH), len(cycles)))
    weights = 1 / cycles / (1 / cycles).sum()
    turns = 2 * np.pi * np.arange(num_frames)[:, None, None] / num_frames * cycles
    motion: Float64Array = (np.sin(turns + phases) * weights).sum(axis=2) * _REACH
    return motion


def move_portrait(portrait: UInt8Array, motion: Float64Array) -> UInt8Array:
    """Show the portrait ``[H, W, 3]`` in the place of one row ``[4]`` of ``sway``."""
    right_px, down_px, roll_deg, zoom = motion
    x, y = portrait.shape[1] / 2, portrait.shape[0] / 2
    matrix = cv2.getRotationMatrix2D((x, y), float(roll_deg), 1 + float(zoom))
    matrix[:, 2] += WIDTH_PX / 2 - x + right_px, HEIGHT_PX / 2 - y + down_px
    frame = cv2.warpAffine(
        portrait,
        matrix,
        (WIDTH_PX, HEIGHT_PX),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return frame.astype(np.uint8, copy=False)


def write_video(path: Path, portrait: UInt8Array, source: Path) -> None:
    """Encode the moving portrait, the picture of ``source``.

    Raises:
        MediaError: the file cannot be written.
    """
    info = VideoInfo(
        path=source,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        rotation_deg=0,
        time_base=1 / FRAME_RATE,
        frame_rate=FRAME_RATE,
        num_frames=NUM_FRAMES,
    )
    frames = np.stack([move_portrait(portrait, motion) for motion in sway(NUM_FRAMES)])
    with VideoWriter(path, info, EncoderOptions(crf=22, preset="slower")) as writer:
        writer.write(frames, np.arange(NUM_FRAMES, dtype=np.int64))


def synthesise_speech(path: Path) -> None:
    """Let Flite say ``TEXT``: mono, 16 kHz, 16 bits.

    Raises:
        ConfigError: Flite is not installed, or fails.
        MediaError: the folder is missing or not writable.
    """
    check_writable(path)
    command = [*SPEECH_COMMAND, str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError as error:
        raise ConfigError(f"{command[0]}: not found; install it (apt-get install flite)") from error
    except subprocess.CalledProcessError as error:
        raise ConfigError(
            f"{command[0]}: exit code {error.returncode}: {error.stderr!r}"
        ) from error


if __name__ == "__main__":
    run_entry_point(main)
