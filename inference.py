"""Dub a talking-head video: give it another speech, and get the lips to match.

python inference.py --face talk.mp4 --audio speech.wav --outfile out.mp4
"""

from __future__ import annotations

from retalking.script import run_entry_point

from retalking.inference.cli import main

if __name__ == "__main__":
    run_entry_point(main)
