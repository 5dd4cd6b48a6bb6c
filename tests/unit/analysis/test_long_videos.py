"""What is known of an hour's frames takes hardly more memory than that of a minute's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from retalking.analysis.cache import AnalysisCache
from retalking.analysis.first_pass import points_in_crops
from retalking.coefficients.basis import estimate_coefficients
from retalking.face.crops import Pads, stabiliser_crops
from retalking.face.follower import _LiveFace
from retalking.face.tracking import FaceTracks, select_track
from retalking.mouth.warp.lending.choosing import choose_candidates
from retalking.mouth.warp.speaker import study_speaker
from retalking.types import VideoAnalysis, VideoInfo
from tests.talking import BASIS, openings, talking_points, turns

LOOP = talking_points(openings(100), turns(100)).astype(np.float32)


def peak_bytes(work: Callable[[], object]) -> int:
    """Most memory of arrays and objects while something is done; mapped files are none."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_numbers_of_frames_are_not_held_in_memory(tmp_path: Path) -> None:
    """From the first pass to the choice of lenders: 5,600 bytes of a frame before, 560 now.

    That is one array while it is read from the cache; other versions of NumPy may take more.
    """
    rng = np.random.default_rng(0)

    def prepare(num_frames: int) -> None:
        live = _LiveFace()
        for number in range(num_frames):
            trembling = rng.normal(0, 0.05, (68, 3)).astype(np.float32)
            live.see(number, LOOP[number % len(LOOP)] + trembling, 0.9)
        shots, pts = np.zeros(num_frames, np.int64), np.arange(num_frames, dtype=np.int64)
        track = select_track(FaceTracks((live.to_segment(),), shots, pts))
        crops = stabiliser_crops(track, 25.0)
        coefficients = estimate_coefficients(points_in_crops(track, crops), track, BASIS)
        info = VideoInfo(tmp_path / "none.mp4", 320, 240, 0, Fraction(1, 25), Fraction(25), None)
        analysis = VideoAnalysis(info, pts, track, crops, coefficients)
        AnalysisCache(tmp_path).save("0" * 32, analysis)
        loaded = AnalysisCache(tmp_path).load("0" * 32, info)
        assert loaded is not None
        speaker = study_speaker(loaded.track, BASIS, Pads())
        area = np.ones((384, 384), np.float32)
        assert choose_candidates(loaded, speaker, {0: area})[0].max() > 0.9 * num_frames

    few, many = (peak_bytes(lambda n=n: prepare(n)) for n in (8_000, 24_000))
    print(f"{few / 1e6:.1f} and {many / 1e6:.1f} MB: {(many - few) / 16_000:.0f} bytes per frame")
    assert (many - few) / 16_000 < 1000
