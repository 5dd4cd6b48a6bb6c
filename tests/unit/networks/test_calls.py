"""What each network is fed and how its answer is read: size, range, order of colours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.blocks.lower_half import EDITED_FROM
from retalking.face.crops import LIP_PX
from retalking.networks.calls import (
    change_upper_face,
    edit_expression,
    parse_faces,
    restore_faces,
    synthesise_lips,
    where_it_fits,
)
from retalking.networks.run import Run
from retalking.networks.runner import Runner
from third_party.ganimation import EXPRESSIONS, GANimation, GANimationConfig, expression_aus
from third_party.parsenet import ParseNet, ParseNetConfig
from third_party.windows import Window

HALF = round(EDITED_FROM * LIP_PX)


@pytest.fixture
def runner() -> Runner:
    return Runner(torch.device("cpu"), torch.float32, 2)


def noise(count: int, size_px: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size_px, size_px, 3), np.uint8)


def return_reference(_mel: Tensor, _face: Tensor, reference: Tensor, *_: None) -> Any:
    return reference, reference


class Spy:
    """Calls a function in place of a network and keeps the inputs of every batch."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.inputs: list[tuple[Tensor, ...]] = []

    def __call__(self, *inputs: Tensor, **_: object) -> Any:
        self.inputs.append(inputs)
        return self.answer(*inputs)


def test_dnet_gets_signed_rgb_and_windows(runner: Runner) -> None:
    faces, windows = noise(3, 256), np.random.default_rng(1).normal(size=(3, 73, 26))
    dnet = Spy(lambda picture, window: SimpleNamespace(edited=-picture))
    edited = edit_expression(runner, dnet, faces, windows.astype(np.float32))  # type: ignore[arg-type]
    np.testing.assert_array_equal(edited, 255 - faces)
    picture, window = dnet.inputs[0]
    assert picture.shape == (2, 3, 256, 256)
    torch.testing.assert_close(
        picture[1, 0, 5, 7], torch.tensor(faces[1, 5, 7, 0] / 127.5 - 1, dtype=torch.float32)
    )
    np.testing.assert_array_equal(window, windows[:2].astype(np.float32))


def test_the_lip_networks_get_bgr_without_the_lower_half(runner: Runner) -> None:
    faces, references = noise(2, LIP_PX), noise(2, LIP_PX, 1)
    mels = np.random.default_rng(2).normal(size=(2, 1, 80, 16)).astype(np.float32)
    before = faces.copy()
    enet = Spy(return_reference)
    result = synthesise_lips(runner, enet, faces, references, mels)  # type: ignore[arg-type]
    # What goes in as reference comes out: the two changes of colour order cancel.
    np.testing.assert_array_equal(result.rgb, references)
    assert result.low_res.shape == references.transpose(0, 3, 1, 2).shape  # the spy shrinks nothing
    np.testing.assert_array_equal(faces, before)
    mel, face, reference, *rest = enet.inputs[0]
    np.testing.assert_array_equal(mel, mels)
    assert face.shape == (2, 3, LIP_PX, LIP_PX)
    assert float(face[:, :, HALF:].abs().max()) == 0
    assert rest == [None, None]
    blue = torch.from_numpy(faces[:, :HALF, :, 2].astype(np.float32) / 255)
    torch.testing.assert_close(face[:, 0, :HALF], blue)
    red = torch.from_numpy(references[..., 0].astype(np.float32) / 255)
    torch.testing.assert_close(reference[:, 2], red)


def test_what_leaves_the_range_is_clamped(runner: Runner) -> None:
    enet = Spy(lambda mel, face, reference, *_: (reference * 4 - 1.5, reference))
    references = noise(1, LIP_PX)
    mels = np.zeros((1, 1, 80, 16), np.float32)
    result = synthesise_lips(runner, enet, references, references, mels)  # type: ignore[arg-type]
    expected = np.clip(references * 4.0 - 1.5 * 255, 0, 255)
    np.testing.assert_allclose(result.rgb, expected, atol=0.51)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_ganimation_gets_small_rgb_and_the_action_units(runner: Runner, expression: str) -> None:
    faces = noise(1, LIP_PX)
    ganimation = Spy(lambda picture, aus: picture)
    result = change_upper_face(runner, ganimation, faces, expression)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result, faces)  # no change of the small picture, none at all
    small, aus = ganimation.inputs[0]
    assert small.shape == (2, 3, 128, 128)
    torch.testing.assert_close(aus, expression_aus(expression).expand(2, -1))
    block = faces[0, 3:6, 6:9, 0].astype(float).mean() / 127.5 - 1
    assert float(small[0, 0, 1, 2]) == pytest.approx(block, abs=1e-5)


def test_only_the_change_of_the_small_picture_is_added(runner: Runner) -> None:
    faces = noise(1, LIP_PX) // 2

    def redden(picture: Tensor, aus: Tensor) -> Tensor:
        picture = picture.clone()
        picture[:, 0, :64] += 0.2
        return picture

    result = change_upper_face(runner, redden, faces, "angry").astype(int)  # type: ignore[arg-type]
    difference = result - faces
    np.testing.assert_allclose(difference[0, :180, :, 0], 25.5, atol=0.51)
    assert np.abs(difference[0, :, :, 1:]).max() == 0
    assert np.abs(difference[0, 200:]).max() == 0


def test_the_real_ganimation_runs(runner: Runner) -> None:
    network = runner.place(GANimation(GANimationConfig(base_channels=4, num_blocks=1)))
    result = change_upper_face(runner, network, noise(1, LIP_PX), "surprise")  # type: ignore[arg-type]
    assert result.shape == (1, LIP_PX, LIP_PX, 3)
    assert result.dtype == np.uint8


def test_restorers_get_and_give_signed_rgb(runner: Runner) -> None:
    faces = noise(1, 512)
    restorer = Spy(lambda picture: picture.flip(3))
    result = restore_faces(runner, restorer, faces)  # type: ignore[arg-type]
    np.testing.assert_array_equal(result, faces[:, :, ::-1])
    low, high = restorer.inputs[0][0].aminmax()
    assert (float(low), float(high)) == (-1, 1)


def test_labels_are_the_strongest_class(runner: Runner) -> None:
    scores = torch.zeros(2, 19, 512, 512)
    scores[:, 18, :100] = 1
    scores[0, 7, 100:] = 1
    labels = parse_faces(runner, Spy(lambda _: scores), noise(2, 512))  # type: ignore[arg-type]
    assert labels.dtype == np.uint8
    assert labels.shape == (2, 512, 512)
    assert set(np.unique(labels[0, :100])) == {18}
    assert set(np.unique(labels[0, 100:])) == {7}
    assert set(np.unique(labels[1, 100:])) == {0}


def test_pictures_of_a_chunk_are_never_held_as_numbers(runner: Runner) -> None:
    """Only batches of them are: a chunk would take four times the memory, several times over."""
    held: list[Tensor] = []

    class Watch:
        def __call__(self, network: Any, *inputs: Tensor, **options: Any) -> Tensor:
            result = runner(network, *inputs, **options)
            held.extend([*inputs, result])
            return result

        def several(self, network: Any, *inputs: Tensor, **options: Any) -> tuple[Tensor, ...]:
            results = runner.several(network, *inputs, **options)
            held.extend([*inputs, *results])
            return results

    run = Watch()
    enet = Spy(lambda _mel, _face, reference, *_: (reference, reference[:, :, ::4, ::4]))
    dnet = Spy(lambda picture, window: SimpleNamespace(edited=picture))
    scores = torch.zeros(2, 19, 512, 512)
    windows, mels = np.zeros((2, 73, 26), np.float32), np.zeros((2, 1, 80, 16), np.float32)
    small, lips, large = (noise(2, size_px) for size_px in (256, LIP_PX, 512))
    edit_expression(run, dnet, small, windows)  # type: ignore[arg-type]
    synthesise_lips(run, enet, lips, lips, mels)  # type: ignore[arg-type]
    change_upper_face(run, Spy(lambda picture, aus: picture), lips, "angry")  # type: ignore[arg-type]
    restore_faces(run, Spy(lambda picture: picture), large)  # type: ignore[arg-type]
    parse_faces(run, Spy(lambda _: scores), large)  # type: ignore[arg-type]
    pictures = [part for part in held if part.numel() > 2 * 256 * 256]
    assert len(pictures) == 11
    assert {part.dtype for part in pictures} == {torch.uint8}


def test_the_real_parser_runs() -> None:
    config = ParseNetConfig(base_channels=2, max_channels=4, num_halvings=4, body_depth=1)
    runner = Runner(torch.device("cpu"), torch.float32, 1)
    parser = runner.place(ParseNet(config))
    labels = parse_faces(runner, parser, noise(1, 512))  # type: ignore[arg-type]
    assert labels.shape == (1, 512, 512)
    assert labels.max() < 19


def test_a_window_is_computed_and_the_rest_stays(runner: Runner) -> None:
    faces, window = noise(3, 512), Window(256, 128, 512, 384, 512, 3)
    asked: list[Window] = []

    class Part(nn.Module):
        def forward(self, pictures: Tensor, window: Window) -> Tensor:
            asked.append(window)
            shown = window.of(pictures)
            return shown if pictures.shape[2] == 512 else shown.repeat(1, 7, 1, 1)[:, :19]

    inside = np.s_[:, 256:512, 128:384]
    restored = restore_faces(runner, Part(), faces[..., ::-1].copy(), window)  # type: ignore[arg-type]
    np.testing.assert_array_equal(restored, faces[..., ::-1])
    labels = parse_faces(runner, Part(), faces, 256, window)  # type: ignore[arg-type]
    assert asked[-1] == Window(128, 64, 256, 192, 256, 3)
    assert set(np.unique(labels[inside])) == {0, 1, 2}  # of equal scores the first
    labels[inside] = 0
    assert not labels.any()


def test_who_does_not_fit_a_window_is_computed_whole(runner: Runner) -> None:
    fits = np.array([True, False, True])
    window = Window(256, 128, 512, 384, 512, 3)
    seen: list[tuple[list[int], Window | None]] = []

    def apply(run: Run, rows: np.ndarray, part: Window | None) -> Tensor:
        seen.append((rows.tolist(), part))
        zeros = torch.zeros(len(rows), 1)
        assert run(lambda batch: batch, zeros).shape == zeros.shape
        return torch.from_numpy(rows[:, None].astype(np.uint8))

    result = where_it_fits(runner.for_frames(np.array([4, 5, 9])), fits, window, apply)
    np.testing.assert_array_equal(result, [[0], [1], [2]])
    assert seen == [([0, 2], window), ([1], None)]
