from __future__ import annotations

import numpy as np
import pytest

from retalking.mouth.warp import WarpMouth, WarpOptions
from retalking.mouth.warp.lip_measures import OPENING
from retalking.rendering.edit_plan import EditPlan, make_edit_plan
from retalking.rendering.paste_back import composite
from retalking.rendering.timeline import build_timeline
from retalking.types import VideoAnalysis
from tests.talking import DrawnSource, analysis_of, draw, openings, talking_points, turns

FRAMES = 40
POINTS = talking_points(openings(FRAMES), turns(FRAMES))
PICTURES = [draw(p) for p in POINTS]


def plan_of(analysis: VideoAnalysis, seconds: float) -> EditPlan:
    info = analysis.info
    timeline = build_timeline(analysis.pts, info.time_base, info.frame_rate, seconds)
    return make_edit_plan(timeline, analysis.track)


def prepare(
    shapes: np.ndarray | float, seconds: float = 1.6, options: WarpOptions | None = None
) -> tuple[WarpMouth, EditPlan, DrawnSource]:
    analysis = analysis_of(POINTS)
    plan = plan_of(analysis, seconds)
    source = DrawnSource(PICTURES)
    wanted = np.zeros((len(plan), 5), dtype=np.float32) + np.float32(shapes)
    mouth = WarpMouth.prepare(source, analysis, plan, wanted, options)  # type: ignore[arg-type]
    return mouth, plan, source


def render(mouth: WarpMouth, plan: EditPlan, chunk: int = 8) -> list[np.ndarray]:
    frames = []
    for start in range(0, len(plan), chunk):
        numbers = np.arange(start, min(start + chunk, len(plan)))
        index = plan.timeline.source_index[numbers]
        pictures = [PICTURES[k] for k in index]
        for picture, layer in zip(pictures, mouth.layers(pictures, index, numbers), strict=True):
            frame = picture.copy()
            composite(frame, layer, 4)
            frames.append(frame)
    return frames


def dark_inside(frame: np.ndarray) -> int:
    """Pixels that show the inside of a mouth."""
    return int((frame[120:210, 80:160].max(axis=-1) < 55).sum())


def test_lips_close_and_open_as_wanted() -> None:
    drawn = [dark_inside(p) for p in PICTURES]
    for level, expected in ((-2.0, min(drawn)), (1.3, max(drawn))):
        mouth, plan, _ = prepare(level)
        made = np.array([dark_inside(f) for f in render(mouth, plan)])
        # The old lips open and close all the time; of that, a tenth may be left.
        assert np.abs(made - expected).max() < 0.25 * np.ptp(drawn)
        assert made.std() < 0.1 * np.std(drawn)


def test_chunks_make_no_difference() -> None:
    shapes = np.random.default_rng(0).normal(0, 1, (40, 5)).astype(np.float32)
    mouth, plan, _ = prepare(shapes)
    whole = render(mouth, plan, 40)
    for chunk in (1, 7):
        for a, b in zip(whole, render(mouth, plan, chunk), strict=True):
            np.testing.assert_array_equal(a, b)


def test_pixels_beside_the_lower_face_stay() -> None:
    mouth, plan, _ = prepare(1.0)
    for made, index in zip(render(mouth, plan), plan.timeline.source_index, strict=True):
        changed = (made != PICTURES[index]).any(axis=-1)
        eyes = int(POINTS[index, 36:48, 1].max())
        assert not changed[: eyes + 2].any()
        assert not changed[:, :20].any()
        assert not changed[:, -20:].any()
        assert changed.any()


def test_layers_have_the_resolution_of_the_frame() -> None:
    mouth, _, _ = prepare(0.0)
    layer = mouth.layers([PICTURES[0]], np.array([0]), np.array([0]))[0]
    assert layer.rgb.dtype == np.uint8
    assert layer.rgb.shape[:2] == layer.mask.shape
    np.testing.assert_array_equal(layer.to_crop[:, :2], np.eye(2))


def test_lenders_stay_away_from_frames_that_are_judged() -> None:
    mouth, plan, source = prepare(0.0, options=WarpOptions(keep_away_s=0.2))
    lenders = mouth._lending.plan.lender
    assert (np.abs(lenders - plan.timeline.source_index) >= 5).all()
    assert sorted(set(source.read)) == source.read


def test_a_photograph_moves_its_lips() -> None:
    analysis = analysis_of(POINTS[:1])
    plan = plan_of(analysis, 0.4)
    wanted = np.zeros((len(plan), 5), dtype=np.float32)
    wanted[:, OPENING] = np.linspace(-2, 2, len(plan))
    source = DrawnSource(PICTURES[:1])
    mouth = WarpMouth.prepare(source, analysis, plan, wanted)  # type: ignore[arg-type]
    made = render(mouth, plan)
    lower_lip = [int(np.argmax(f[150:200, 120, 0] < 190)) for f in (made[0], made[-1])]
    assert (made[0] != made[-1]).any()
    assert lower_lip


def test_shots_lend_each_other_what_they_lack() -> None:
    shots = [0] * 36 + [1] * 4
    analysis = analysis_of(POINTS, shots)
    plan = plan_of(analysis, 1.6)
    source = DrawnSource(PICTURES)
    wanted = np.full((len(plan), 5), -2.0, dtype=np.float32)  # shot 1 is open throughout
    mouth = WarpMouth.prepare(source, analysis, plan, wanted)  # type: ignore[arg-type]
    assert (mouth._lending.plan.lender[36:] < 36).any()


def test_shapes_of_another_length_are_refused() -> None:
    analysis = analysis_of(POINTS)
    plan = plan_of(analysis, 1.6)
    with pytest.raises(ValueError, match=r"shapes: got \[3, 5\], expected \[40, 5\]"):
        WarpMouth.prepare(DrawnSource(PICTURES), analysis, plan, np.zeros((3, 5), np.float32))  # type: ignore[arg-type]
