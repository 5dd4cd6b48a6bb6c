"""Measure a dubbing job on this machine: time and memory per stage, and what batching gains.

    python scripts/benchmark.py --face talk.mp4 --audio speech.wav --profile lite
    python scripts/benchmark.py --against DIR --face talk.mp4 --audio speech.wav --profile lite
    python scripts/benchmark.py --busy --face talk.mp4 --audio speech.wav --profile lite
    python scripts/benchmark.py --batching --profile official --checkpoints DIR --face-analysis lite
    python scripts/benchmark.py --against-upstream DIR --face talk.mp4 --audio speech.wav \\
        --profile official

The first form runs a whole job. The second runs it by turns with another checkout of this
repository, alone and beside a busy program on every processor. The third runs it the same two ways
with threads that wait passively, as ours do, and with threads that spin, as the OpenMP runtime's do
by default. The fourth runs each network on random pictures, in batches and frame by frame as
upstream does, alternating in one process. The fifth runs whole jobs by turns with a checkout of the
released VideoReTalking, with the interpreter of --upstream-python. All print a table and write
JSON. Unknown flags are those of inference.py.

Milliseconds of a core are those of the thread that a stage runs on; of the whole job, those of all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from retalking.script import run_entry_point

import numpy as np
import torch

from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.face.crops import LIP_PX, STABILISER_PX
from retalking.inference.cli import build_parser, configure
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.networks.calls import (
    RESTORED_PX,
    FaceRestorer,
    edit_expression,
    parse_faces,
    restore_faces,
    synthesise_lips,
)
from retalking.networks.device import Traffic
from retalking.networks.engines.run import choose_engine
from retalking.networks.load import Parts, load_parts
from retalking.networks.run import Run
from retalking.networks.runner import Runner
from retalking.progress import TRACKING
from retalking.timings import peak_memory_bytes
from retalking.types import UInt8Array
from scripts.measure.side_by_side import Row, compare_checkouts, compare_waiting
from scripts.measure.upstream import compare_with_upstream

_ENGINES = {
    TRACKING: "torch, OpenCV",
    "mouths to lend": "FFmpeg, OpenCV",
    "decode": "FFmpeg",
    "warp": "OpenCV",
    "paste-back": "OpenCV",
    "encode": "FFmpeg",
}
"""What computes a stage, where the option ``--engine`` does not choose it."""


@report_mistakes()
def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--batching", action="store_true", help="networks only, batched or not")
    parser.add_argument("--busy", action="store_true", help="job beside other work on all cores")
    parser.add_argument("--against", type=Path, help="checkout to compare with")
    parser.add_argument("--against-upstream", type=Path, help="checkout of VideoReTalking")
    parser.add_argument("--upstream-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--rounds", type=int, default=3, help="repetitions")
    parser.add_argument("--json", type=Path, default=Path("benchmark.json"))
    own, rest = parser.parse_known_args()
    if {"-h", "--help"} & set(rest):
        parser.print_help()
        return 0
    if own.batching:
        rest = [*rest, "--face", "-", "--audio", "-"]
    options = build_parser().parse_args(rest)
    if options.audio is None:
        raise ConfigError("--audio: missing; name a file with speech")
    config = configure(options)
    if own.batching:
        rows = compare_batching(config, own.rounds)
    elif own.against:
        rows = compare_checkouts(own.against, rest, own.rounds)
    elif own.against_upstream:
        rows = compare_with_upstream(
            own.against_upstream,
            own.upstream_python,
            options.face,
            options.audio,
            rest,
            own.rounds,
        )
    elif own.busy:
        rows = compare_waiting(rest)
    else:
        rows = measure_job(config, options.face, options.audio)
    print(format_table(rows))
    print(", ".join(f"{name}: {value}" for name, value in describe_machine().items()))
    own.json.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=2))
    return 0


def measure_job(config: InferenceConfig, face: Path, audio: Path) -> list[Row]:
    """Dub a video into a temporary file; one row per stage and one for the job."""
    retalker = Retalker(config)
    with tempfile.TemporaryDirectory() as folder:
        begin, begin_core = time.perf_counter(), time.process_time()
        report = retalker(face, audio, Path(folder) / "out.mp4", progress=True)
        seconds, core_s = time.perf_counter() - begin, time.process_time() - begin_core
    engine = choose_engine(config.engine, retalker.parts.runner.device)
    rows: list[Row] = [
        {
            "stage": stage,
            "engine": _ENGINES.get(stage, engine),
            "frames": frames,
            "ms per frame": round(1000 * spent / max(frames, 1), 1),
            "core ms per frame": round(1000 * report.timings.core_s[stage] / max(frames, 1), 1),
            "peak MB so far": round(report.timings.peak_bytes[stage] / 2**20),
        }
        for stage, spent, frames in report.timings.rows()
    ]
    rows.append(
        {
            "stage": "whole job",
            "engine": "",
            "frames": report.num_frames,
            "ms per frame": round(1000 * seconds / report.num_frames, 1),
            "core ms per frame": round(1000 * core_s / report.num_frames, 1),
            "peak MB so far": round(peak_memory_bytes() / 2**20),
        }
    )
    print(describe_traffic(retalker.parts.runner.traffic, report.num_frames))
    return rows


def describe_traffic(traffic: Traffic, num_frames: int) -> str:
    """Say in a line how much the networks' inputs and results travel."""
    parts = [
        f"{words} {number / num_frames:.1f} copies, {num_bytes / num_frames / 2**20:.2f} MB"
        for words, number, num_bytes in (
            ("to the device", traffic.num_sent, traffic.bytes_sent),
            ("from it", traffic.num_fetched, traffic.bytes_fetched),
        )
    ]
    return f"per frame {', '.join(parts)}"


def compare_batching(config: InferenceConfig, rounds: int) -> list[Row]:
    """Time every network of a configuration on batches and on single frames, alternating."""
    parts = load_parts(config)
    size = parts.runner.batch_size
    rows = []
    for name, work in network_work(parts, size).items():
        spent: dict[int, list[float]] = {size: [], 1: []}
        for batch_size in (size, 1) * (rounds + 1):
            runner = Runner(parts.runner.device, parts.runner.precision, batch_size)
            begin = time.perf_counter()
            work(runner)
            spent[batch_size].append(1000 * (time.perf_counter() - begin) / size)
        batched, single = (statistics.median(spent[key][1:]) for key in (size, 1))
        rows.append(
            {
                "network": name,
                "batch": size,
                "ms per frame batched": round(batched, 1),
                "ms per frame one by one": round(single, 1),
                "speed-up": round(single / batched, 2),
            }
        )
    return rows


def network_work(parts: Parts, num_frames: int) -> dict[str, Callable[[Run], object]]:
    """Return one call per loaded network on random pictures."""
    random = np.random.default_rng(0)

    def pictures(side_px: int) -> np.ndarray:
        return random.integers(0, 256, (num_frames, side_px, side_px, 3), dtype=np.uint8)

    small, lips, large = pictures(STABILISER_PX), pictures(LIP_PX), pictures(RESTORED_PX)
    windows = random.standard_normal((num_frames, 73, 26)).astype(np.float32)
    mels = random.uniform(-4, 4, (num_frames, 1, 80, 16)).astype(np.float32)
    work: dict[str, Callable[[Run], object]] = {}
    if parts.enet is not None:
        enet = parts.enet
        work["L-Net, E-Net"] = lambda run: synthesise_lips(run, enet, lips, lips, mels)
    if parts.dnet is not None:
        dnet = parts.dnet
        work["D-Net"] = lambda run: edit_expression(run, dnet, small, windows)
    for name, restorer in (("enhancer", parts.reference_enhancer), ("restorer", parts.restorer)):
        if restorer is not None:
            work[f"{name} ({type(restorer).__name__})"] = partial(_restore, restorer, large)
    if parts.parser is not None:
        parser = parts.parser
        work["ParseNet"] = lambda run: parse_faces(run, parser, large)
    return work


def _restore(restorer: FaceRestorer, faces: UInt8Array, run: Run) -> UInt8Array:
    return restore_faces(run, restorer, faces)


def describe_machine() -> dict[str, object]:
    """Return what the figures depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        about = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in about.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def format_table(rows: list[Row]) -> str:
    """Return rows as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    run_entry_point(main)
