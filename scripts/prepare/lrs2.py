"""Prepare a store from LRS2: L-Net, the lip-sync expert and E-Net (paper 4.1.2, 4.1.3).

    python -m scripts.prepare.lrs2 FOLDER --out STORE --workers 16

FOLDER holds mvlrs_v1/{main,pretrain}/VIDEO/NUMBER.mp4 and train.txt, val.txt, test.txt.

LRS2 is asked for at the BBC, https://www.robots.ox.ac.uk/~vgg/data/lip_reading/lrs2.html , with a
signed agreement of the research institution; neither videos nor lists may be passed on. For E-Net,
run ``scripts.prepare.enhance_lrs2 STORE`` afterwards.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from datasets.prepare.corpora import list_lrs2
from scripts.prepare.clips import add_store_options, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the corpus as distributed")
    parser.add_argument("--subset", choices=("main", "pretrain"), default="main")
    add_store_options(parser, "lrs2.yaml")
    options = parser.parse_args(arguments)
    return run(options, lambda: list_lrs2(options.folder, options.subset))


if __name__ == "__main__":
    run_entry_point(main)
