"""Prepare a store from HDTF: high-resolution talking heads, for E-Net and for evaluation.

    python -m scripts.prepare.hdtf FOLDER --out STORE --workers 16

FOLDER holds NAME_NUMBER.mp4.

The list of HDTF (links, times and crops, CC BY 4.0) is at github.com/MRzzm/HDTF; the videos are
fetched and cut by its users, for example with github.com/universome/HDTF.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

from datasets.prepare.corpora import list_hdtf
from scripts.prepare.clips import add_store_options, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the corpus as distributed")
    add_store_options(parser, "clips.yaml")
    options = parser.parse_args(arguments)
    return run(options, lambda: list_hdtf(options.folder))


if __name__ == "__main__":
    run_entry_point(main)
