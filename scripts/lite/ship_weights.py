"""Turn weights of a training into a file to ship: half precision, with a note of how they came.

Example::

    python -m scripts.lite.ship_weights runs/dnet/weights-best.safetensors \
        checkpoints/lite/dnet.safetensors --note "4100 steps of configs/dnet/lite.yaml"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

import torch
from torch import nn

from models import weights
from models.dnet import DNet
from models.enet import ENet
from models.landmarks import LandmarkNet
from models.lnet import LNet
from models.mouth_inside import MouthInsideNet
from models.speech.audio_opening import AudioOpening
from models.speech.lip_shapes import LipShapeNet
from models.syncnet import SyncExpert
from models.weight_files import read_metadata
from retalking.errors import WeightsError
from retalking.exit_code import report_mistakes

SHIPPED: tuple[type[nn.Module], ...] = (
    AudioOpening,
    DNet,
    ENet,
    LandmarkNet,
    LipShapeNet,
    LNet,
    MouthInsideNet,
    SyncExpert,
)


def ship(source: Path, target: Path, note: str) -> None:
    """Write the weights in half precision.

    Raises:
        WeightsError: the file is no network of ours, or a value does not fit half precision.
    """
    name = read_metadata(source).get("class")
    known = {network.__name__: network for network in SHIPPED}
    if name not in known:
        raise WeightsError(f"{source}: got class {name}, expected one of {', '.join(known)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    weights.save(target, weights.load(source, known[name]), {"note": note}, torch.float16)


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write weights in half precision to ship them.")
    parser.add_argument("source", type=Path, help="weights of a training")
    parser.add_argument("target", type=Path, help="safetensors file to write")
    parser.add_argument("--note", required=True, help="how the weights were made")
    options = parser.parse_args(arguments)
    ship(options.source, options.target, options.note)
    print(f"{options.target}: {options.target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run_entry_point(main)
