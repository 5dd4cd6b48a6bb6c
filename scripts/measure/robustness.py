"""Measure how well the marks outlive what happens to files, and how seldom chance makes one.

    python -m scripts.measure.robustness picture dubbed/*.mp4 --out picture.json
    python -m scripts.measure.robustness sound dubbed/*.mp4 --out sound.json
    python -m scripts.measure.robustness null real/*.mp4 --out null.json
    python -m scripts.measure.robustness sound-null real/*.mp4 --out sound-null.json

``picture`` and ``sound`` take outputs of this program that were marked with the public key; which
payload, their comment tells. ``null`` and ``sound-null`` take videos without a mark and look at
windows of them with keys of their own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retalking.script import run_entry_point

import numpy as np

from retalking.errors import MediaError
from retalking.exit_code import EXIT_OK, report_mistakes
from retalking.files import check_writable
from retalking.media.container import open_input
from retalking.media.sound import audio
from retalking.trust.payload_code import PUBLIC_KEY, payload_of
from retalking.trust.sound.evidence import weigh_sound
from retalking.trust.sound.pattern import sound_code
from retalking.trust.verdict.verification import FALSE_POSITIVES_LOG10, judge_picture
from retalking.types import AudioClip
from scripts.measure.marks.null import null_scores, sound_null_scores, summarise
from scripts.measure.marks.picture_attacks import PICTURE_ATTACKS, names_of, read_clip
from scripts.measure.marks.sound_attacks import SOUND_ATTACKS

Row = dict[str, Any]


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the figures after every file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("picture", "sound", "null", "sound-null"))
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--attacks", nargs="*", help="words in the names of attacks; default: all")
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame")
    parser.add_argument("--keys", type=int, default=1, help="for nulls: keys per window")
    parser.add_argument("--window-s", type=float, default=2.5, help="for nulls")
    options = parser.parse_args(arguments)
    check_writable(options.out)
    if options.what.endswith("null"):
        scores = []
        for path in options.files:
            if options.what == "null":
                scores += list(null_scores([path], options.window_s, options.keys, options.every))
            else:
                scores += list(sound_null_scores(path, options.window_s, options.keys))
            if sum(map(len, scores)) > 40:
                summary = summarise(scores, FALSE_POSITIVES_LOG10)
                options.out.write_text(json.dumps(dataclasses.asdict(summary), indent=1))
        return EXIT_OK
    rows: list[Row] = []
    for path in options.files:
        if options.what == "picture":
            rows += attack_picture(path, names_of(options.attacks), options.every)
        else:
            rows += attack_sound(path)
        options.out.write_text(json.dumps({"summary": tally(rows), "rows": rows}, indent=1))
    print("\n".join(f"{name}: {line}" for name, line in tally(rows).items()))
    return EXIT_OK


def user_of(path: Path) -> int:
    """Return the user's bits of the payload that a file's comment tells.

    Raises:
        MediaError: it tells of none, or of another version's.
    """
    with open_input(path) as container:
        comment = str(container.metadata.get("comment", ""))
    told = re.search(r"watermark ([0-9A-F]{8})\b", comment)
    payload = int(told[1], 16) if told else -1
    if payload != payload_of(payload & 0xFFFF):
        raise MediaError(f"{path}: its comment tells of no watermark of this version: {comment!r}")
    return payload & 0xFFFF


def attack_picture(path: Path, names: Sequence[str], every: int) -> list[Row]:
    """Return what the detector says of a video after each of some attacks."""
    clip, user, rows = read_clip(path), user_of(path), []
    for name in names:
        attack = PICTURE_ATTACKS[name]
        with tempfile.TemporaryDirectory() as folder:
            attacked = Path(folder) / "attacked.mp4"
            attack.apply(clip, attacked)
            faces, _ = judge_picture(attacked, PUBLIC_KEY, every)
        best = min(faces, key=lambda face: face.log10_p, default=None)
        rows.append(
            {
                "attack": name,
                "file": path.name,
                "log10_p": 0.0 if best is None else round(best.log10_p, 2),
                "right": bool(best and best.finding and best.finding.user == user),
                "face_px": 0 if best is None else round(best.face.height_px),
            }
        )
    return rows


def attack_sound(path: Path) -> list[Row]:
    """Return what the detector says of a sound after each attack."""
    clip, code, user, rows = audio.load(path), sound_code(PUBLIC_KEY), user_of(path), []
    for name, attack in SOUND_ATTACKS.items():
        samples = attack(clip.samples, clip.sample_rate_hz)
        found = weigh_sound(AudioClip(samples, clip.sample_rate_hz), code)
        rows.append(
            {
                "attack": name,
                "file": path.name,
                "log10_p": 0.0 if found is None else round(found.log10_p, 2),
                "right": bool(found and found.user == user),
            }
        )
    return rows


def tally(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return, by attack, how many are found, with the right payload, and how surely."""
    result: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["attack"] for row in rows):
        some = [row for row in rows if row["attack"] == name]
        found = [row for row in some if row["log10_p"] <= FALSE_POSITIVES_LOG10]
        result[name] = {
            "files": len(some),
            "found": len(found),
            "right": sum(row["right"] for row in found),
            "weakest": max(row["log10_p"] for row in some),
            "median": float(np.median([row["log10_p"] for row in some])),
        }
    return result


if __name__ == "__main__":
    run_entry_point(main)
