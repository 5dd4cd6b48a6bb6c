"""Add what other networks need to a prepared store.

    python -m scripts.prepare.extend_store STORE coefficients --profile lite
    python -m scripts.prepare.extend_store STORE neutral --dnet checkpoints/lite/dnet.safetensors
    python -m scripts.prepare.extend_store STORE heard

``coefficients`` (for D-Net): ``lite`` takes them from the stored landmarks, ``official`` from the
pictures with Deep3DFaceRecon. ``neutral`` (references for L-Net, as inference has them) needs a
trained D-Net and coefficients of the same profile. ``heard`` (for ``train_lips.py``) needs a store
prepared with ``--keep-audio``. The same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from retalking.script import run_entry_point

from datasets.lips import HEARD, hear_copies
from datasets.prepare.extend import (
    Compute,
    estimate_lite_coefficients,
    extend_store,
    make_neutral_lips,
    regress_coefficients,
)
from datasets.store.format import COEFFICIENTS, read_store_info
from datasets.store.index import refresh_index
from models import weights
from models.blocks.spectral_norm import fold_spectral_norm
from models.dnet import DNet
from models.speech.encoder import SpeechEncoder
from retalking.coefficients.basis import ExpressionBasis
from retalking.coefficients.windows import load_expression_templates
from retalking.exit_code import report_mistakes
from retalking.face.crops import STABILISER_PX
from retalking.face.landmarks import LiteLandmarker
from retalking.networks.runner import Runner, make_runner
from retalking.shard import Shard
from retalking.speech.lip_shapes import ENCODER_PATH
from retalking.weights import catalogue
from scripts.prepare.engine import add_engine_options, do_shares
from third_party.face3d import Face3D


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="prepared store")
    parser.add_argument("what", choices=("coefficients", "neutral", "heard"), help="part to add")
    parser.add_argument("--splits", nargs="+", help="whose clips get the part; default: all")
    parser.add_argument("--profile", choices=("lite", "official"), default="lite")
    parser.add_argument("--dnet", type=Path, help="weights of D-Net, for neutral")
    parser.add_argument("--size", type=int, default=96, help="side of neutral lips, px")
    parser.add_argument(
        "--surroundings",
        choices=("edited", "source"),
        default="edited",
        help="around neutral lips: D-Net's edit, or the frame itself as the lite profile has it",
    )
    parser.add_argument(
        "--copies", type=int, default=6, help="of disturbed speech beside the clean one, for heard"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add_engine_options(parser)
    options = parser.parse_args(arguments)
    if options.what == "neutral" and options.dnet is None:
        parser.error("neutral needs --dnet")
    counts = [*do_shares(options, partial(_extend_share, options))]
    if options.engine == "ray":  # of shares that end at the same time none may know of all
        refresh_index(options.store)
    added, passed = (sum(column) for column in zip(*counts, strict=True))
    print(f"{options.store}: {options.what} added to {added} clips, {passed} passed over")
    return 0


def _extend_share(options: argparse.Namespace, shard: Shard) -> tuple[int, int]:
    """Return how many clips got the part, and how many were passed over."""
    runner = make_runner(options.device, "fp32")
    pictures: str | None = f"stabiliser_{STABILISER_PX}"
    if options.what == "coefficients":
        part, compute = COEFFICIENTS, _coefficients(options.profile, runner)
        pictures = pictures if options.profile == "official" else None
    elif options.what == "heard":
        part, compute, pictures = HEARD, _heard(options, runner), None
    else:
        part, compute = f"neutral_{options.size}", _neutral(options, runner)
    return extend_store(options.store, part, compute, pictures, options.splits, shard)


def _coefficients(profile: str, runner: Runner) -> Compute:
    if profile == "lite":
        return partial(estimate_lite_coefficients, basis=ExpressionBasis.from_file())
    face3d = weights.load_any(catalogue.find("face3d"), Face3D, "face3d")
    runner.place(face3d)
    return partial(regress_coefficients, face3d=face3d, runner=runner)


def _heard(options: argparse.Namespace, runner: Runner) -> Compute:
    encoder = weights.load(ENCODER_PATH, SpeechEncoder)
    runner.place(encoder)
    return partial(hear_copies, encoder=encoder, num_copies=options.copies)


def _neutral(options: argparse.Namespace, runner: Runner) -> Compute:
    if options.profile == "lite":
        templates = dict(ExpressionBasis.from_file().templates)
    else:
        templates = load_expression_templates(catalogue.find("expression"))
    dnet = weights.load_any(options.dnet, DNet, "DNet")
    fold_spectral_norm(dnet)
    runner.place(dnet)
    return partial(
        make_neutral_lips,
        size_px=options.size,
        jpeg_quality=int(read_store_info(options.store).settings["jpeg_quality"]),
        dnet=dnet,
        template=templates["neutral"],
        landmarker=LiteLandmarker.from_file(device=runner.device),
        runner=runner,
        show_source=options.surroundings == "source",
    )


if __name__ == "__main__":
    run_entry_point(main)
