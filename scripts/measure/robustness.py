"""Measure how well the marks outlive what happens to files, and how seldom chance makes one.

    python -m scripts.measure.robustness picture dubbed/*.mp4 --out picture.json
    python -m scripts.measure.robustness sound dubbed/*.mp4 --out sound.json
    python -m scripts.measure.robustness null real/*.mp4 --out null.json
    python -m scripts.measure.robustness sound-null real/*.mp4 --out sound-null.json

``picture`` and ``sound`` take outputs of this program that were marked with the public key; which
payload, their comment tells. ``null`` and ``sound-null`` take videos without a mark and look at
windows of them with keys of their own. All of it is written after every step, and ``--go-on`` takes
up what a killed measurement has left; after a change of the detector start again, with ``--seen``
without compressing and tracking everything once more.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retalking.script import run_entry_point

import numpy as np

from retalking.arrays.sealed import SUFFIX
from retalking.errors import MediaError
from retalking.exit_code import EXIT_OK, report_mistakes
from retalking.files import check_writable, replacing, sha256_of
from retalking.media.container import open_input
from retalking.media.sound import audio
from retalking.trust.payload_code import PUBLIC_KEY, USER_BITS, payload_of
from retalking.trust.picture.faces import SeenFace, see_faces
from retalking.trust.sound.evidence import weigh_sound
from retalking.trust.sound.pattern import sound_code
from retalking.trust.verdict.verification import FALSE_POSITIVES_LOG10, judge_faces
from retalking.types import AudioClip
from scripts.measure.marks.null import null_scores, sound_null_scores, summarise
from scripts.measure.marks.picture_attacks import PICTURE_ATTACKS, names_of, read_clip
from scripts.measure.marks.seen import seen_once
from scripts.measure.marks.sound_attacks import SOUND_ATTACKS

Row = dict[str, Any]
Step = tuple[str, Callable[[], Any]]
"""Its name, and what measures it, which returns something that JSON can hold."""


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the figures after every step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("picture", "sound", "null", "sound-null"))
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--go-on", action="store_true", help="keep what --out has of these files")
    parser.add_argument(
        "--seen", type=Path, help="folder: keep what is seen of each face, or use it"
    )
    parser.add_argument("--attacks", nargs="*", help="words in the names of attacks; default: all")
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame")
    parser.add_argument("--keys", type=int, default=1, help="for nulls: keys per window")
    parser.add_argument("--window-s", type=float, default=2.5, help="for nulls")
    options = parser.parse_args(arguments)
    check_writable(options.out)
    done = read_steps(options.out) if options.go_on else {}
    results: dict[str, Any] = {}
    for path in options.files:
        for name, measure in steps_of(path, options):
            results[name] = done[name] if name in done else measure()
            summary = sum_up(options.what, list(results.values()))
            with replacing(options.out) as partial:
                partial.write_text(json.dumps({"summary": summary, "steps": results}, indent=1))
    print("\n".join(f"{name}: {value}" for name, value in summary.items()))
    return EXIT_OK


def steps_of(path: Path, options: argparse.Namespace) -> Iterator[Step]:
    """Yield what is to be measured of a file, one thing at a time."""
    key = f"{path.name} {sha256_of(path)[:12]}"
    if options.what == "picture":
        for name in names_of(options.attacks):
            kept = _kept(options.seen, f"{key} {name}")
            yield (
                f"{key}, {name}",
                functools.partial(attack_picture, path, name, options.every, kept),
            )
    elif options.what == "sound":
        for name in SOUND_ATTACKS:
            yield f"{key}, {name}", functools.partial(attack_sound, path, name)
    else:
        told = f"{key}, {options.window_s} s, {options.keys} keys"
        measure = functools.partial(sound_null_scores, path, options.window_s, options.keys)
        if options.what == "null":
            kept = _kept(options.seen, f"{key} first seconds")
            measure = functools.partial(
                null_scores, path, options.window_s, options.keys, options.every, kept
            )
        yield told, lambda: [scores.tolist() for scores in measure()]


def sum_up(what: str, results: Sequence[Any]) -> dict[str, Any]:
    """Return the figures of all steps so far."""
    if not what.endswith("null"):
        return dict(tally(results))
    scores = [np.array(some) for result in results for some in result]
    if sum(map(len, scores)) < 40:  # too few for a tail
        return {}
    return dataclasses.asdict(summarise(scores, FALSE_POSITIVES_LOG10))


def read_steps(path: Path) -> dict[str, Any]:
    """Return the results of an earlier measurement by the names of its steps; none without a file.

    Raises:
        MediaError: it was not written by this program.
    """
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text())["steps"])
    except (ValueError, KeyError, TypeError):
        raise MediaError(
            f"{path}: holds no measurement to go on with; remove it or leave --go-on out"
        ) from None


def _kept(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / f"{re.sub('[^A-Za-z0-9.]+', '_', name)}{SUFFIX}"


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


_clip_of = functools.lru_cache(maxsize=1)(read_clip)
_sound_of = functools.lru_cache(maxsize=1)(audio.load)


def attack_picture(path: Path, name: str, every: int, kept: Path | None) -> Row:
    """Return what the detector says of a video after an attack."""
    user = user_of(path)

    def look() -> list[SeenFace]:
        with tempfile.TemporaryDirectory() as folder:
            attacked = Path(folder) / "attacked.mp4"
            PICTURE_ATTACKS[name].apply(_clip_of(path), attacked)
            return see_faces(attacked, every)

    verdicts = judge_faces(seen_once(kept, look), PUBLIC_KEY)
    best = min(verdicts, key=lambda face: face.log10_p, default=None)
    return {
        "attack": name,
        "file": path.name,
        "log10_p": 0.0 if best is None else round(best.log10_p, 2),
        "user": user,
        "right": bool(best and best.finding and best.finding.user == user),
        "face_px": 0 if best is None else round(best.face.height_px),
    }


def attack_sound(path: Path, name: str) -> Row:
    """Return what the detector says of a sound after an attack."""
    clip, user = _sound_of(path), user_of(path)
    samples = SOUND_ATTACKS[name](clip.samples, clip.sample_rate_hz)
    found = weigh_sound(AudioClip(samples, clip.sample_rate_hz), sound_code(PUBLIC_KEY))
    return {
        "attack": name,
        "file": path.name,
        "log10_p": 0.0 if found is None else round(found.log10_p, 2),
        "user": user,
        "right": bool(found and found.user == user),
    }


def tally(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return, by attack, how many are found, with the right payload, and how surely.

    ``own`` counts those that are found with a payload of their own, or would be if they had one
    instead of 0: that many times as many are tried then.
    """
    own_payload = float(np.log10(2**USER_BITS))
    result: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["attack"] for row in rows):
        some = [row for row in rows if row["attack"] == name]
        found = [row for row in some if row["log10_p"] <= FALSE_POSITIVES_LOG10]
        result[name] = {
            "files": len(some),
            "found": len(found),
            "right": sum(row["right"] for row in found),
            "own": sum(
                row["log10_p"] + (0 if row["user"] else own_payload) <= FALSE_POSITIVES_LOG10
                for row in some
            ),
            "weakest": max(row["log10_p"] for row in some),
            "median": float(np.median([row["log10_p"] for row in some])),
        }
    return result


if __name__ == "__main__":
    run_entry_point(main)
