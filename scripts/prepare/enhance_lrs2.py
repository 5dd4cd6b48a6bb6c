"""Make E-Net's high-resolution training set: GPEN enhances low-resolution video (paper 4.1.3).

    python -m scripts.prepare.enhance_lrs2 STORE

Adds the part ``enhanced_384`` to a store that ``prepare_lrs2`` (or any of the preparing scripts)
made; the source videos must still be where they were. The same command goes on after an
interruption. GPEN's weights come from ``scripts/download_checkpoints.py``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from retalking.script import run_entry_point

from datasets.prepare.extend import enhance_lips, extend_store
from datasets.store.format import ENHANCED, read_store_info
from datasets.store.index import refresh_index
from models import weights
from retalking.exit_code import report_mistakes
from retalking.face.crops import LIP_PX
from retalking.networks.runner import make_runner
from retalking.shard import Shard
from retalking.weights import catalogue
from scripts.prepare.engine import add_engine_options, do_shares
from third_party.gpen import GPEN


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="prepared store")
    parser.add_argument("--gpen", type=Path, help="weights; those of the catalogue if not given")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add_engine_options(parser)
    options = parser.parse_args(arguments)
    added = sum(do_shares(options, partial(_enhance_share, options)))
    if options.engine == "ray":  # of shares that end at the same time none may know of all
        refresh_index(options.store)
    print(f"{options.store}: {added} clips enhanced")
    return 0


def _enhance_share(options: argparse.Namespace, shard: Shard) -> int:
    """Return how many clips were enhanced."""
    quality = int(read_store_info(options.store).settings["jpeg_quality"])
    runner = make_runner(options.device, "fp32")
    path = options.gpen or catalogue.find("GPEN")
    gpen = weights.load_any(path, GPEN, "GPEN")
    runner.place(gpen)
    compute = partial(enhance_lips, jpeg_quality=quality, gpen=gpen, runner=runner)
    added, _ = extend_store(options.store, f"{ENHANCED}_{LIP_PX}", compute, shard=shard)
    return added


if __name__ == "__main__":
    run_entry_point(main)
