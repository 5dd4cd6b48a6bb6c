"""Measure how memory and time per frame of a dubbing job depend on the length of the video.

    python scripts/measure/memory.py --face talk.mp4 --audio speech.wav --profile lite

The clip and the speech are repeated to each of the lengths, and each is dubbed by a process of its
own (scripts/benchmark.py). Unknown flags are those of inference.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from retalking.script import run_entry_point

import numpy as np

from retalking.exit_code import report_mistakes
from retalking.locations import REPOSITORY
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound import audio
from retalking.media.video import VideoReader

_CHUNK_FRAMES = 16


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--face", type=Path, required=True, help="short clip with a face")
    parser.add_argument("--audio", type=Path, required=True, help="speech")
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[20.0, 600.0], help="default: 20 600"
    )
    own, rest = parser.parse_known_args(arguments)
    costs: list[Cost] = []
    print("| length (s) | peak (MB) | core ms per frame | ms per frame |\n|---:|---:|---:|---:|")
    for seconds in own.seconds:
        try:
            costs.append(measure_cost(own.face, own.audio, seconds, rest))
        except subprocess.CalledProcessError as error:
            return error.returncode  # the benchmark has said why
        peak, core, passed = costs[-1]
        print(f"| {seconds:g} | {peak:.0f} | {core:.1f} | {passed:.1f} |", flush=True)
    growth = {
        name: max(values) / min(values) - 1
        for name, values in zip(Cost._fields[:2], zip(*costs, strict=True), strict=False)
    }
    print(
        f"between these lengths the peak differs by {100 * growth['peak_mb']:.1f} %, "
        f"the time of a core by {100 * growth['core_ms']:.1f} %"
    )
    return 0


class Cost(NamedTuple):
    """What a job took: the most memory, and milliseconds a frame of a core, and that passed."""

    peak_mb: float
    core_ms: float
    passed_ms: float


def measure_cost(face: Path, speech: Path, seconds: float, options: Sequence[str]) -> Cost:
    """Dub the repeated clip in a new process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeat_video(face, seconds, folder / "face.mp4")
        repeat_audio(speech, seconds, folder / "speech.wav")
        command = [sys.executable, str(REPOSITORY / "scripts" / "benchmark.py"), *options]
        command += ["--face", str(folder / "face.mp4"), "--audio", str(folder / "speech.wav")]
        command += ["--json", str(folder / "result.json"), "--tmp-dir", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        job = json.loads((folder / "result.json").read_text())["rows"][-1]
    return Cost(job["peak MB so far"], job["core ms per frame"], job["ms per frame"])


def repeat_video(clip: Path, seconds: float, outfile: Path) -> None:
    """Write a clip again and again until the length is reached."""
    with VideoReader(clip) as reader:
        info, done = reader.info, 0
        num_frames = max(round(seconds * info.frame_rate), 1)
        tick = round(1 / (info.frame_rate * info.time_base))
        with VideoWriter(outfile, info, EncoderOptions(preset="ultrafast")) as writer:
            while done < num_frames:
                for chunk in reader.read_chunks(_CHUNK_FRAMES):
                    count = min(len(chunk), num_frames - done)
                    stamps = tick * np.arange(done, done + count, dtype=np.int64)
                    writer.write(chunk.rgb[:count], stamps)
                    done += count
                    if done == num_frames:
                        break


def repeat_audio(speech: Path, seconds: float, outfile: Path) -> None:
    """Write speech again and again until the length is reached, as 16-bit WAV."""
    clip = audio.load(speech)
    samples = np.resize(clip.samples, round(seconds * clip.sample_rate_hz))
    with wave.open(str(outfile), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(clip.sample_rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    run_entry_point(main)
