"""Prepare a store from VoxCeleb: D-Net (paper 4.1.1).

    python -m scripts.prepare.voxceleb FOLDER --out STORE --workers 16

FOLDER holds {train,test}/ID#VIDEO#FIRST#LAST.mp4 or {dev,test}/mp4/ID/VIDEO/NUMBER.mp4.

VoxCeleb is asked for at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/ ; cropped and cut videos
are made from its lists by github.com/AliaksandrSiarohin/video-preprocessing. Clips without speech
are welcome here, since D-Net does not listen. Afterwards: ``scripts.prepare.extend_store STORE
coefficients --profile official``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from datasets.prepare.corpora import list_voxceleb
from scripts.prepare.clips import add_store_options, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the corpus as distributed")
    add_store_options(parser, "voxceleb.yaml")
    options = parser.parse_args(arguments)
    return run(options, lambda: list_voxceleb(options.folder))


if __name__ == "__main__":
    run_entry_point(main)
