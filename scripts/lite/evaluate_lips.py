"""Measure speech to lip shapes on people who were not trained on.

    python -m scripts.lite.evaluate_lips STORE --splits val

Speech of each clip of a prepared store (``--keep-audio``) goes through what inference uses; the
lips that it tells are compared with those that were seen. Then the same with the speech disturbed,
and with a limited look-ahead. Correlations are means over clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retalking.script import run_entry_point

import numpy as np

from datasets import room
from datasets.lips import read_shapes
from datasets.store.format import FRAME_RATE, TRACKS
from datasets.store.reader import ClipFilter, Store, StoredClip
from retalking.coefficients.basis import ExpressionBasis
from retalking.exit_code import report_mistakes
from retalking.face.lip_motion import correlate, late_frames
from retalking.media.sound.mel import SAMPLE_RATE_HZ
from retalking.mouth.warp.lip_measures import OPENING
from retalking.speech.lip_shapes import (
    ENCODER_PATH,
    LIP_SHAPES_PATH,
    SHAPE_NAMES,
    LipListener,
    LipShapes,
    hear_lips,
)
from retalking.types import AudioClip, Float64Array, FloatArray

LIVE_LOOK_AHEAD_S = 0.2
CLOSED_SHARE, FOUND_SHARE = 0.2, 0.3
"""Closed are the fifth of a clip's frames that are least open; found are those of them that the
speech puts among the least open 30 %. Chance finds 0.3."""
MAX_LAG_FRAMES = 6

Change = Callable[[Float64Array, np.random.Generator], Float64Array]


@dataclass(frozen=True)
class Score:
    """How well the lips of one clip were told.

    Attributes:
        correlations: ``[5]``.
        spread: ``[5]``, deviation over the true one.
        closed_found: see ``FOUND_SHARE``.
        lag: frames by which the lips come later than told; 0 if all is in step.
    """

    correlations: FloatArray
    spread: FloatArray
    closed_found: float
    lag: int


def score(told: FloatArray, seen: FloatArray) -> Score:
    """Compare shapes ``[F, 5]``."""
    correlations = [correlate(a, b) for a, b in zip(told.T, seen.T, strict=True)]
    spread = told.std(axis=0) / np.maximum(seen.std(axis=0), 1e-6)
    closed = seen[:, OPENING] <= np.quantile(seen[:, OPENING], CLOSED_SHARE)
    found = told[closed, OPENING] <= np.quantile(told[:, OPENING], FOUND_SHARE)
    lag = late_frames(seen[:, OPENING], told[:, OPENING], MAX_LAG_FRAMES)
    return Score(np.array(correlations, np.float32), spread, float(found.mean()), lag)


def conditions() -> dict[str, Change | None]:
    """Return what is done to the speech, by name."""

    def noise(wave: Float64Array, rng: np.random.Generator) -> Float64Array:
        return room.add_noise(wave, rng, snr_db=10)

    def music(wave: Float64Array, rng: np.random.Generator) -> Float64Array:
        return room.add_music(wave, rng, snr_db=10)

    return {
        "as it is": None,
        "noise, 10 dB": noise,
        "20 dB softer": lambda wave, _: wave * 0.1,
        "telephone": room.through_telephone,
        "music, 10 dB": music,
        "echo": room.add_echo,
    }


def tell(
    clip: StoredClip, listener: LipListener, change: Change | None, look_ahead_s: float | None
) -> LipShapes:
    """Hear a stored clip, at the times of its frames."""
    audio = clip.array(TRACKS, "audio").astype(np.float64) / 32767
    if change is not None:
        audio = change(audio, np.random.default_rng(list(clip.name.encode())))
    speech = AudioClip(audio.astype(np.float32), SAMPLE_RATE_HZ)
    frames = len(clip.array(TRACKS, "opening"))
    return hear_lips(speech, listener, look_ahead_s).at(np.arange(frames) / FRAME_RATE)


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path, help="prepared with --keep-audio")
    parser.add_argument("--splits", nargs="+", default=["val"], help="of the store")
    parser.add_argument("--least-frames", type=int, default=50, help="shorter clips are left out")
    parser.add_argument("--encoder", type=Path, default=ENCODER_PATH)
    parser.add_argument("--lips", type=Path, default=LIP_SHAPES_PATH)
    parser.add_argument("--only-clean", action="store_true", help="leave the disturbances out")
    options = parser.parse_args(arguments)
    listener = LipListener.from_files(options.encoder, options.lips)
    store = Store(options.store)
    needs = ClipFilter(options.splits, min_frames=options.least_frames, speech=True)
    shapes = read_shapes(
        store, store.select(needs).tolist(), ExpressionBasis.from_file().mean_shape
    )
    rows: dict[str, tuple[Change | None, float | None]] = {
        name: (change, None) for name, change in conditions().items()
    }
    rows[f"look-ahead {LIVE_LOOK_AHEAD_S:g} s"] = (None, LIVE_LOOK_AHEAD_S)
    if options.only_clean:
        rows = dict([next(iter(rows.items()))])
    for number, (name, (change, look_ahead_s)) in enumerate(rows.items()):
        told = {row: tell(store.clip(row), listener, change, look_ahead_s) for row in shapes}
        scores = {store.clip(row).name: score(told[row].values, shapes[row]) for row in shapes}
        if number == 0:
            _print_clips(scores)
            _print_header()
        _print_row(name, list(scores.values()), list(told.values()))
    return 0


def _print_clips(scores: dict[str, Score]) -> None:
    print("| clip | " + " | ".join(SHAPE_NAMES) + " | closed found | lag |")
    print("|---" * (len(SHAPE_NAMES) + 3) + "|")
    for name, found in scores.items():
        numbers = " | ".join(f"{value:.2f}" for value in found.correlations)
        print(f"| {name} | {numbers} | {found.closed_found:.2f} | {found.lag:+d} |")
    print()


def _print_header() -> None:
    print(
        "| speech | " + " | ".join(SHAPE_NAMES) + " | spread | closed found | certainty | in step |"
    )
    print("|---" * (len(SHAPE_NAMES) + 5) + "|")


def _print_row(name: str, scores: list[Score], told: list[LipShapes]) -> None:
    means = np.mean([found.correlations for found in scores], axis=0)
    spread = np.mean([found.spread for found in scores])
    closed = np.mean([found.closed_found for found in scores])
    certainty = np.mean([shapes.certainty.mean() for shapes in told])
    in_step = np.mean([abs(found.lag) <= 1 for found in scores])
    numbers = " | ".join(f"{value:.3f}" for value in means)
    print(
        f"| {name} | {numbers} | {spread:.2f} | {closed:.2f} | {certainty:.2f} | {in_step:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    run_entry_point(main)
