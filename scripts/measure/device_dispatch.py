"""Print what the host does for a frame while pictures stay on a GPU: what a GPU would wait for.

    python scripts/measure/device_dispatch.py --face talk.mp4 --audio speech.wav

The chain of the profile official runs with its sizes on PyTorch's device "meta", which computes
nothing, and with networks that hand on what they are given. Told apart are Python with the work on
numbers and the copies within the host's memory; and how many tensor operations are dispatched,
times what one takes with a single number on this CPU (a GPU's launch takes a few microseconds
more). The first pass is by our own landmarks. Not measured: decoding, encoding, the networks' own
layers, and copies over the bus. Frames are held in memory: take a few seconds of video. Unknown
flags are those of inference.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from retalking.script import run_entry_point

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from models.dnet import DNet, DNetOutput
from models.enet import ENet, ENetOutput
from retalking.exit_code import report_mistakes
from retalking.face.face_alignment_package import FanLandmarker
from retalking.inference.cli import build_parser, configure
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.networks.device import Traffic
from retalking.networks.finite import FiniteResults
from retalking.networks.load import Parts, load_parts
from retalking.networks.run import Several
from retalking.networks.runner import Runner
from retalking.timings import Timings
from scripts.benchmark import describe_traffic
from third_party.gfpgan import GFPGAN
from third_party.gpen import GPEN
from third_party.parsenet import FacePart, ParseNet
from third_party.windows import Window

META = torch.device("meta")


class HollowRunner(Runner):
    """Runs nothing on a device that holds shapes only."""

    def fetch(self, part: Tensor) -> Tensor:
        """Zeros of the same shape."""
        self.traffic.count_fetched(part)
        self._finite = FiniteResults()
        return torch.zeros(part.shape, dtype=part.dtype)

    @torch.inference_mode()
    def _run(self, forward: Several, batch: list[Tensor]) -> list[Tensor]:
        return [result.float() for result in forward(*batch)]


class HollowFan(FanLandmarker):
    """FAN without its network."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), META)

    def read(self, crops: Tensor) -> Tensor:
        """Zeros."""
        return crops.new_zeros(len(crops), 68, 3)


class Operations(TorchFunctionMode):
    """Measures what calls of PyTorch take."""

    core_s = 0.0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        begin = time.thread_time()
        result = func(*args, **(kwargs or {}))
        self.core_s += time.thread_time() - begin
        return result


class Dispatches(TorchDispatchMode):
    """Counts operations, and what they bring to the device beside what the runner sends."""

    num = num_copies = num_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.num += 1
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device != result.device:
            self.num_copies += 1
            self.num_bytes += args[0].numel() * args[0].element_size()
        return result


class PythonTimings(Timings):
    """Adds up what the stages of the mouth take beside operations, of which it counts theirs."""

    def __init__(self, operations: Operations, dispatches: Dispatches) -> None:
        super().__init__()
        self._operations, self._dispatches = operations, dispatches
        self.python_s, self.num_operations = 0.0, 0

    @contextmanager
    def measure(self, stage: str, num_frames: int) -> Iterator[None]:
        """See ``Timings``."""
        if stage == "decode":
            yield
            return
        begin, in_operations, num = (
            time.thread_time(),
            self._operations.core_s,
            self._dispatches.num,
        )
        yield
        in_operations = self._operations.core_s - in_operations
        self.python_s += time.thread_time() - begin - in_operations
        self.num_operations += self._dispatches.num - num


@dataclass(frozen=True)
class Spent:
    """What a dub took of the thread that renders.

    Attributes:
        python_ms: outside of tensor operations, per frame.
        copying_ms: what copying a frame takes, which is among these.
        operations: tensor operations, per frame.
        traffic: copies, in all, that the runner counts.
        all_copies, all_bytes: to the device, per frame, with those of warps.
        num_frames: of the dub.
    """

    python_ms: float
    copying_ms: float
    operations: float
    traffic: Traffic
    all_copies: float
    all_bytes: float
    num_frames: int


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _, rest = parser.parse_known_args(arguments)
    options = build_parser().parse_args([*rest, "--profile", "official"])
    spent, us = measure(configure(options), options.face, options.audio), dispatch_us()
    dispatch_ms = spent.operations * us / 1000
    print("| per frame | core ms |\n|---|---:|")
    print(f"| Python, numbers, copies in memory | {spent.python_ms:.2f} |")
    print(f"| of which copying the frame into the output | {spent.copying_ms:.2f} |")
    print(f"| {spent.operations:.0f} tensor operations of {us:.1f} us | {dispatch_ms:.2f} |")
    print(f"| sum | {spent.python_ms + dispatch_ms:.2f} |")
    print(describe_traffic(spent.traffic, spent.num_frames))
    print(f"with those of warps {spent.all_copies:.1f} copies up, {spent.all_bytes / 2**20:.3f} MB")
    return 0


def measure(config: InferenceConfig, face: Any, audio: Any) -> Spent:
    """Dub a video without computing anything."""
    lite = load_profile("lite", {"tmp_dir": config.tmp_dir, "max_seconds": config.max_seconds})
    parts, traffic = load_parts(lite), Traffic()
    runner = HollowRunner(
        META, torch.float32, config.batch_size or 16, traffic=traffic, holds_pictures=True
    )
    with Retalker(lite, parts).prepare(face) as scene:
        retalker = Retalker(config, hollow_parts(parts, runner))
        dub, operations, dispatches = retalker.plan(scene, audio), Operations(), Dispatches()
        timings = PythonTimings(operations, dispatches)
        with operations, dispatches:
            chunks = [chunk.output.rgb for chunk in retalker.render(dub, timings)]
    num_frames, begin = sum(map(len, chunks)), time.thread_time()
    copies = [rgb.copy() for rgb in chunks]  # into fresh memory, as a job's are
    copying_s = time.thread_time() - begin
    del copies
    return Spent(
        1000 * timings.python_s / num_frames,
        1000 * copying_s / num_frames,
        timings.num_operations / num_frames,
        traffic,
        dispatches.num_copies / num_frames,
        dispatches.num_bytes / num_frames,
        num_frames,
    )


def dispatch_us() -> float:
    """What an operation on single numbers takes, in microseconds of a core."""
    one, count = torch.ones(1), 20_000
    with torch.inference_mode():
        begin = time.thread_time()
        for _ in range(count):
            one + one
    return 1e6 * (time.thread_time() - begin) / count


def hollow_parts(parts: Parts, runner: Runner) -> Parts:
    """Put networks of the official kinds and sizes into ``parts`` that hand on what they get."""

    def pictures(faces: Tensor, window: Window | None = None) -> Tensor:
        return faces if window is None else window.of(faces)

    def scores(faces: Tensor, window: Window | None = None) -> Tensor:
        return pictures(faces, window)[:, :1].expand(-1, len(FacePart), -1, -1)

    def edited(image: Tensor, window: Tensor) -> DNetOutput:
        return DNetOutput(window, window, image, image)

    def speaking(_: Tensor, __: Tensor, reference: Tensor, *___: None, **____: bool) -> ENetOutput:
        return ENetOutput(reference, reference[..., ::4, ::4])

    return dataclasses.replace(
        parts,
        runner=runner,
        listener=None,
        landmarker=HollowFan(),
        dnet=_hollow(DNet, edited),
        enet=_hollow(ENet, speaking),
        reference_enhancer=_hollow(GPEN, pictures),
        restorer=_hollow(GFPGAN, pictures),
        parser=_hollow(ParseNet, scores),
    )


def _hollow(kind: type[nn.Module], forward: Callable[..., Any]) -> Any:
    with META:
        network = kind()
    network.forward = forward
    return network


if __name__ == "__main__":
    run_entry_point(main)
