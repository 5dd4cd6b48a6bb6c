from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from retalking.coefficients.windows import (
    WINDOW_FRAMES,
    ExpressionMix,
    coefficient_windows,
    crop_scale_ratio,
    load_expression_templates,
    parse_expression,
    window_indices,
)
from retalking.errors import ConfigError, WeightsError
from retalking.types import FaceCoefficients


def numbered(num_frames: int) -> FaceCoefficients:
    """Every value of frame f is f plus a tenth of its column."""

    def block(first: int, size: int) -> np.ndarray:
        frames = np.arange(num_frames, dtype=np.float32)[:, None]
        return frames + np.arange(first, first + size, dtype=np.float32) / 10

    return FaceCoefficients(block(0, 64), block(64, 3), block(67, 3), block(70, 3))


def test_a_window_reaches_from_13_before_to_12_after() -> None:
    rows = window_indices([20, 30], np.zeros(60, np.int64))
    assert rows.shape == (2, WINDOW_FRAMES)
    np.testing.assert_array_equal(rows[0], np.arange(7, 33))
    np.testing.assert_array_equal(rows[1], np.arange(17, 43))


def test_a_window_repeats_the_ends_of_the_video() -> None:
    shot = np.zeros(5, np.int64)
    np.testing.assert_array_equal(window_indices([0], shot)[0], [0] * 14 + [1, 2, 3, 4] + [4] * 8)
    np.testing.assert_array_equal(window_indices([4], shot)[0], [0] * 10 + [1, 2, 3] + [4] * 13)


def test_a_window_never_looks_across_a_cut() -> None:
    shot = np.repeat([0, 1, 2], [10, 30, 10])
    for frame in range(50):
        rows = window_indices([frame], shot)[0]
        assert set(shot[rows]) == {shot[frame]}
        assert rows[13] == frame


def test_one_frame_fills_its_window() -> None:
    np.testing.assert_array_equal(window_indices([0], np.zeros(1, np.int64)), np.zeros((1, 26)))


def test_windows_hold_the_columns_in_the_order_of_dnet() -> None:
    windows = coefficient_windows(numbered(40), [20], np.zeros(40, np.int64))
    assert windows.shape == (1, 73, WINDOW_FRAMES)
    assert windows.dtype == np.float32
    expected = np.arange(73)[:, None] / 10 + np.arange(7, 33)[None]
    np.testing.assert_allclose(windows[0], expected, rtol=1e-6)


def test_the_template_replaces_the_expression_alone() -> None:
    template = np.full(64, -5, np.float32)
    shot = np.zeros(40, np.int64)
    own = coefficient_windows(numbered(40), [3, 4], shot)
    windows = coefficient_windows(numbered(40), [3, 4], shot, template)
    assert np.all(windows[:, :64] == -5)
    np.testing.assert_array_equal(windows[:, 64:], own[:, 64:])


def test_the_ratio_scales_the_crop_scale_alone_and_spares_the_input() -> None:
    coefficients, shot = numbered(40), np.zeros(40, np.int64)
    own = coefficient_windows(coefficients, [3, 4], shot)
    windows = coefficient_windows(coefficients, [3, 4], shot, scale_ratio=[2.0, 0.5])
    np.testing.assert_array_equal(windows[0, 70], 2 * own[0, 70])
    np.testing.assert_array_equal(windows[1, 70], own[1, 70] / 2)
    unscaled = np.arange(73) != 70
    np.testing.assert_array_equal(windows[:, unscaled], own[:, unscaled])
    np.testing.assert_array_equal(coefficients.crop, numbered(40).crop)


def test_the_ratio_compares_with_the_most_similar_frame() -> None:
    driving = numbered(10)
    source = FaceCoefficients(
        driving.expression[6:7],
        driving.angle[6:7],
        driving.translation[:1],
        np.full((1, 3), 2, np.float32),
    )
    assert crop_scale_ratio(source, driving) == pytest.approx(2 / driving.crop[6, 0])


def test_a_frame_driven_by_itself_keeps_its_scale() -> None:
    driving = numbered(10)
    rows = [getattr(driving, name)[4:5] for name in ("expression", "angle", "translation", "crop")]
    assert crop_scale_ratio(FaceCoefficients(*rows), driving) == 1


def test_angle_weighs_more_than_expression() -> None:
    zeros = np.zeros((2, 3), np.float32)
    expression = np.zeros((2, 64), np.float32)
    expression[0] = 1.0  # 0.3 away
    angle = zeros.copy()
    angle[1] = 0.5  # 0.35 away
    crop = np.array([[4, 0, 0], [8, 0, 0]], np.float32)
    source = FaceCoefficients(expression[1:], zeros[:1], zeros[:1], np.ones((1, 3), np.float32))
    assert crop_scale_ratio(source, FaceCoefficients(expression, angle, zeros, crop)) == 0.25


def test_the_ratio_wants_one_source_frame() -> None:
    with pytest.raises(ValueError, match="got 2 source and 3 driving frames"):
        crop_scale_ratio(numbered(2), numbered(3))


@pytest.mark.parametrize(
    ("text", "mix"),
    [
        ("neutral", ExpressionMix("neutral", "neutral", 0.0)),
        ("neutral:smile:0.4", ExpressionMix("neutral", "smile", 0.4)),
        (" smile : neutral : 1 ", ExpressionMix("smile", "neutral", 1.0)),
    ],
)
def test_expressions_are_parsed(text: str, mix: ExpressionMix) -> None:
    assert parse_expression(text) == mix


@pytest.mark.parametrize(
    "text", ["", ":", "neutral:smile", "neutral:smile:", "a:b:c", "a:b:1.5", "a:b:nan", "a:b:0:0"]
)
def test_bad_expressions_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"neutral:smile:0\.4"):
        parse_expression(text)


def test_a_mix_lies_between_its_templates() -> None:
    templates = {"neutral": np.zeros(64, np.float32), "smile": np.full(64, 10, np.float32)}
    mixed = parse_expression("neutral:smile:0.4").resolve(templates)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, 4)
    np.testing.assert_array_equal(parse_expression("smile").resolve(templates), templates["smile"])


def test_an_unknown_template_is_named() -> None:
    with pytest.raises(ConfigError, match="got template 'angry', expected one of neutral"):
        parse_expression("angry").resolve({"neutral": np.zeros(64, np.float32)})


def test_templates_are_the_first_64_values_of_row_0(tmp_path: Path) -> None:
    path = tmp_path / "expression.mat"
    rows = np.arange(200.0).reshape(2, 100)
    savemat(path, {"expression_center": rows, "expression_mouth": rows + 0.5})
    templates = load_expression_templates(path)
    np.testing.assert_array_equal(templates["neutral"], np.arange(64))
    np.testing.assert_array_equal(templates["smile"], np.arange(64) + 0.5)
    assert templates["smile"].dtype == np.float32


def test_missing_templates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        load_expression_templates(tmp_path / "expression.mat")


@pytest.mark.parametrize("num_bytes", [0, 50, 128, 140, 600, 1200])
def test_files_cut_off_are_refused(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "expression.mat"
    rows = np.zeros((1, 64))
    savemat(path, {"expression_center": rows, "expression_mouth": rows})
    whole = path.read_bytes()
    assert num_bytes < len(whole)
    path.write_bytes(whole[:num_bytes])
    with pytest.raises(WeightsError, match=r"expression\.mat: "):
        load_expression_templates(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "expression.mat"
    path.write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(WeightsError, match="not a complete MATLAB file"):
        load_expression_templates(path)


@pytest.mark.parametrize("mouth", [np.zeros((1, 63)), np.zeros((0, 64)), np.array(["smile"])])
def test_templates_of_another_shape_are_refused(tmp_path: Path, mouth: np.ndarray) -> None:
    path = tmp_path / "expression.mat"
    savemat(path, {"expression_center": np.zeros((1, 64)), "expression_mouth": mouth})
    with pytest.raises(WeightsError, match="for 'expression_mouth', expected numbers"):
        load_expression_templates(path)


def test_an_absent_template_is_named(tmp_path: Path) -> None:
    path = tmp_path / "expression.mat"
    savemat(path, {"expression_center": np.zeros((1, 64))})
    with pytest.raises(WeightsError, match=r"got float64\[0, 0\] for 'expression_mouth'"):
        load_expression_templates(path)
