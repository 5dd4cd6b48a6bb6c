"""Draw source and dubbed frames one above the other, with their times and the speech.

    python -m scripts.contact_sheet --source talk.mp4 --dubbed dubbed.mp4 --out sheet.png

Shows the largest face of each frame, or whole frames where there is none.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from retalking.script import positive, run_entry_point

from retalking.exit_code import report_mistakes
from retalking.media.images import save_image
from retalking.rendering.timeline import LengthPolicy
from retalking.review.compare import NUM_COLUMNS, compare


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="what inference.py was given")
    parser.add_argument("--dubbed", type=Path, required=True, help="what it made")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    parser.add_argument("--columns", type=positive, default=NUM_COLUMNS, help="default: 8")
    parser.add_argument(
        "--length-policy", choices=get_args(LengthPolicy), default="audio", help="of the job"
    )
    options = parser.parse_args(arguments)
    sheet = compare(options.source, options.dubbed, options.columns, options.length_policy)
    save_image(options.out, sheet)
    print(options.out)
    return 0


if __name__ == "__main__":
    run_entry_point(main)
