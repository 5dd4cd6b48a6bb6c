"""What the first pass keeps and what it needs, however long the video is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retalking.analysis.first_pass import analyse_video
from retalking.analysis.options import AnalysisSection
from retalking.arrays import scratch
from retalking.coefficients.basis import ExpressionBasis
from retalking.timings import Timings
from retalking.types import FloatArray, FrameChunk, UInt8Array, VideoInfo

WIDTH, HEIGHT, CHUNK = 96, 80, 16
OPTIONS = AnalysisSection(
    face_index=None,
    face_box=None,
    face_image=None,
    box=(-1, -1, -1, -1),
    max_yaw_deg=60,
    on_missing_face="passthrough",
    max_gap_s=0.5,
)


class LongVideo:
    """The same noise in every frame; no more of it in memory than a chunk."""

    def __init__(self, num_frames: int) -> None:
        self.info = VideoInfo(
            Path("long.mp4"), WIDTH, HEIGHT, 0, Fraction(1, 25), Fraction(25), num_frames
        )
        self._num_frames = num_frames

    def read_all(self, chunk_size: int) -> Iterator[FrameChunk]:
        scene = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
        rgb = np.repeat(scene, chunk_size, axis=0)
        for start in range(0, self._num_frames, chunk_size):
            count = min(chunk_size, self._num_frames - start)
            yield FrameChunk(start, np.arange(start, start + count), rgb[:count])


class SteadyFace:
    """Detector and landmark finder in one, which see a face that trembles."""

    def __init__(self, basis: ExpressionBasis) -> None:
        self._points = 20 * basis.mean_shape + np.array([WIDTH / 2, HEIGHT / 2, 0])
        self._random = np.random.default_rng(1)

    def detect(self, rgb: UInt8Array, known_px: FloatArray | None = None) -> FloatArray:
        return np.array([[20, 20, 70, 70]], np.float32)

    def predict(self, rgb: UInt8Array, boxes_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.follow(rgb, boxes_px)

    def follow(self, rgb: UInt8Array, points_px: FloatArray) -> tuple[FloatArray, FloatArray]:
        points = self._points + self._random.normal(0, 0.1, (1, 68, 3))
        return points.astype(np.float32), np.ones(1, np.float32)


def analyse(num_frames: int) -> tuple[int, int]:
    """The bytes that are left of the analysis of a video, and the most it took."""
    basis = ExpressionBasis.from_file()
    face = SteadyFace(basis)
    parts: Any = SimpleNamespace(
        detector=face, landmarker=face, expression_basis=basis, face3d=None
    )
    source: Any = LongVideo(num_frames)
    tracemalloc.start()
    analysis = analyse_video(source, parts, OPTIONS, None, CHUNK, Timings())
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert analysis.track.detected.all()
    return held, peak


def test_a_frame_leaves_numbers_behind_and_no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "BLOCK_FRAMES", 16)  # as blocks to an hour
    analyse(20)  # what is allocated once stays out of the comparison
    short_held, short_peak = analyse(40)
    long_held, long_peak = analyse(140)
    assert long_held - short_held < 100 * 1_500
    assert long_peak - short_peak < 100 * 6_000
