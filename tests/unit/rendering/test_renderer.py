"""The renderer with a way of making mouths that tells what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from retalking.face.crops import Pads
from retalking.rendering.edit_plan import EditPlan, make_edit_plan
from retalking.rendering.finished_frames import FinishedFrames
from retalking.rendering.mouth import ChunkFaces, NewFaces
from retalking.rendering.paste_back import Layer
from retalking.rendering.renderer import RenderedChunk, Renderer
from retalking.rendering.scene import Scene
from retalking.rendering.streaming_filter import smooth_stream
from retalking.rendering.timeline import build_timeline
from retalking.timings import Timings
from retalking.types import FrameChunk
from tests.faces import frontal_landmarks, make_analysis, make_track

FRAMES, SIDE = 23, 96
MASK = np.zeros((SIDE, SIDE), np.float32)
MASK[40:60, 30:70] = 1
DETECTED = [number not in (9, 10) for number in range(FRAMES)]
PICTURES = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), np.uint8)


@dataclass(frozen=True)
class Begun:
    drift_px: np.ndarray


class NoisyMouth:
    """Drifts by chance, by the frame's number alone, and paints what the smoothed drift says."""

    drift_shape = (2,)

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.drift: dict[int, np.ndarray] = {}

    def begin(self, faces: ChunkFaces) -> Begun:
        self.begun += faces.numbers.tolist()
        return Begun(np.stack([np.random.default_rng(n).normal(size=2) for n in faces.numbers]))

    def finish(self, faces: ChunkFaces, begun: Begun, drift_px: np.ndarray) -> NewFaces:
        self.drift.update(zip(faces.numbers.tolist(), drift_px, strict=True))
        still = np.eye(2, 3)
        layers = [
            Layer(np.full((SIDE, SIDE, 3), 128 + round(30 * x), np.uint8), MASK, still)
            for x, _ in drift_px
        ]
        return NewFaces.of(layers)


@pytest.fixture
def scene() -> Scene:
    landmarks = np.repeat(frontal_landmarks(30)[None] + SIDE / 2, FRAMES, axis=0)
    source: Any = None
    return Scene.place(source, make_analysis(make_track(landmarks, DETECTED)), Pads(), smooth=True)


@pytest.fixture
def plan(scene: Scene) -> EditPlan:
    analysis = scene.analysis
    info = analysis.info
    timeline = build_timeline(analysis.pts, info.time_base, info.frame_rate, 99.0, "video")
    return make_edit_plan(timeline, analysis.track)


def render(
    scene: Scene, plan: EditPlan, mouth: NoisyMouth, size: int, kept: FinishedFrames | None = None
) -> list[RenderedChunk]:
    chunks = (
        FrameChunk(start, plan.timeline.pts[start : start + size], PICTURES[start : start + size])
        for start in range(0, FRAMES, size)
    )
    return list(Renderer(scene, plan, mouth, Timings(), kept).render(chunks))


def output(chunks: list[RenderedChunk]) -> np.ndarray:
    return np.concatenate([chunk.output.rgb for chunk in chunks])


def test_drift_is_smoothed_over_runs_whatever_the_chunks_are(scene: Scene, plan: EditPlan) -> None:
    raw = np.stack([np.random.default_rng(n).normal(size=2) for n in range(FRAMES)])
    raw[~np.array(DETECTED)] = 0
    ((_, expected),) = smooth_stream([(None, raw, plan.run)])
    whole = output(render(scene, plan, NoisyMouth(), FRAMES))
    for size in (1, 4, FRAMES):
        mouth = NoisyMouth()
        assert np.array_equal(output(render(scene, plan, mouth, size)), whole)
        assert sorted(mouth.drift) == [n for n in range(FRAMES) if DETECTED[n]]
        for number, drift in mouth.drift.items():
            np.testing.assert_allclose(drift, expected[number], atol=1e-12)


def test_a_chunk_shows_what_it_was_made_of(scene: Scene, plan: EditPlan) -> None:
    chunks = render(scene, plan, NoisyMouth(), 5)
    assert np.array_equal(np.concatenate([chunk.source.rgb for chunk in chunks]), PICTURES)
    for chunk in chunks:
        assert chunk.new is not None
        assert len(chunk.new.layers) == len(chunk.faces)
        for frame, number in zip(chunk.faces.frames, chunk.faces.numbers, strict=True):
            assert np.array_equal(frame, PICTURES[number])
    changed = (output(chunks) != PICTURES).any(axis=(1, 2, 3))
    assert changed.tolist() == DETECTED


def test_an_interrupted_job_goes_on_bit_for_bit(
    scene: Scene, plan: EditPlan, tmp_path: Path
) -> None:
    class Interrupted(NoisyMouth):
        def finish(self, *arguments: Any) -> NewFaces:
            if len(self.drift) >= 8:
                raise KeyboardInterrupt
            return super().finish(*arguments)

    whole = output(render(scene, plan, NoisyMouth(), 4))
    with pytest.raises(KeyboardInterrupt):
        render(scene, plan, Interrupted(), 4, FinishedFrames(tmp_path / "job"))
    mouth = NoisyMouth()
    assert np.array_equal(
        output(render(scene, plan, mouth, 4, FinishedFrames(tmp_path / "job"))), whole
    )
    assert min(mouth.begun) == 8


def test_a_chunk_is_kept_while_the_next_one_is_made(
    scene: Scene, plan: EditPlan, tmp_path: Path
) -> None:
    begun, waited = Event(), []

    class Next(NoisyMouth):
        def finish(self, faces: ChunkFaces, *arguments: Any) -> NewFaces:
            if faces.numbers[0] > 0:
                begun.set()
            return super().finish(faces, *arguments)

    class Patient(FinishedFrames):
        def save(self, *arguments: Any) -> None:
            waited.append(begun.wait(60))
            super().save(*arguments)

    render(scene, plan, Next(), 8, Patient(tmp_path / "job"))
    assert waited == [True] * 3
    again = NoisyMouth()
    render(scene, plan, again, 8, FinishedFrames(tmp_path / "job"))
    assert again.begun == []


def test_further_layers_are_blended_after_the_face(scene: Scene, plan: EditPlan) -> None:
    class TwoLayers(NoisyMouth):
        def finish(self, *arguments: Any) -> NewFaces:
            new = super().finish(*arguments)
            above = Layer(
                np.zeros((SIDE, SIDE, 3), np.uint8), np.roll(MASK, -25, axis=0), np.eye(2, 3)
            )
            return NewFaces(new.layers, new.overlays, [(above,)] * len(new.layers))

    one, two = (output(render(scene, plan, kind(), 4)) for kind in (NoisyMouth, TwoLayers))
    assert np.array_equal(one[:, 45:], two[:, 45:])
    differs = (one != two)[:, 15:35].any(axis=(1, 2, 3))
    assert differs.tolist() == DETECTED
