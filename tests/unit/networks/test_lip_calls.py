"""What the lip networks are shown, in training, inference and evaluation alike."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.blocks import lower_half as halves
from models.blocks.lower_half import edited_rows, hide_lower_half, join_halves, lower_half
from models.enet import ENet, ENetConfig
from models.lnet import LNetConfig
from retalking.networks.lip_calls import SmallFaces, enlarge_lips, paint_lips, view_of_expert


class Echo(nn.Module):
    """Answers with the reference and keeps what it was shown."""

    def forward(self, *shown: Any, **_: bool) -> Any:
        self.shown = shown
        if len(shown) == 2:
            return shown[1][:, 3:]
        return shown[2], shown[2][..., ::4, ::4]


@pytest.fixture
def faces() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.zeros(2, 1, 80, 16), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)


def test_lnet_sees_bgr_and_no_mouth_and_answers_in_rgb(faces: tuple[Tensor, ...]) -> None:
    mels, current, references = faces
    net, before = Echo(), current.clone()
    made = paint_lips(net, mels, current, references)  # type: ignore[arg-type]
    torch.testing.assert_close(made, references, rtol=0, atol=0)
    torch.testing.assert_close(current, before, rtol=0, atol=0)
    heard, seen = net.shown
    assert heard is mels
    assert (seen[:, 0, :4] == current[:, 2, :4]).all()
    assert (seen[:, :3, 4:] == 0).all()
    assert (seen[:, 3] == references[:, 2]).all()


def test_enet_sees_bgr_and_its_small_faces_are_masked_too(faces: tuple[Tensor, ...]) -> None:
    mels, current, references = faces
    small = SmallFaces(torch.rand(2, 3, 2, 2), torch.rand(2, 3, 2, 2))
    net = Echo()
    made = enlarge_lips(net, mels, current, references, "zero", small)  # type: ignore[arg-type]
    torch.testing.assert_close(made.face, references, rtol=0, atol=0)
    torch.testing.assert_close(made.low_res, references[..., ::4, ::4], rtol=0, atol=0)
    _, masked, reference, noise, seen = net.shown
    assert (masked[:, :, 4:] == 0).all()
    assert (masked[:, 2, :4] == current[:, 0, :4]).all()
    assert (reference[:, 2] == references[:, 0]).all()
    assert noise == "zero"
    assert (seen[:, :3, 1] == 0).all()
    assert (seen[:, 0, 0] == small.faces[:, 2, 0]).all()
    assert (seen[:, 5] == small.references[:, 0]).all()


def test_the_expert_sees_bgr_frame_by_frame() -> None:
    frames = torch.arange(2 * 5 * 3 * 4 * 2.0).view(2, 5, 3, 4, 2)
    seen = view_of_expert(lower_half(frames))
    assert seen.shape == (2, 15, 2, 2)
    for frame in range(5):
        for channel in range(3):
            expected = frames[:, frame, 2 - channel, 2:]
            torch.testing.assert_close(seen[:, 3 * frame + channel], expected, rtol=0, atol=0)


def test_one_number_says_where_the_lower_half_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that join a face and a reference do so where the face is hidden."""
    lnet = LNetConfig(8, 16, 2, 1, 8, 16, 4, attention_levels=(1,), attention_heads=2)
    config = ENetConfig(16, (8, 8), 16, 32, (8, 8, 8), reference_detail=True, lnet=lnet)
    torch.manual_seed(0)
    net = ENet(config).eval()
    mels, pictures = torch.zeros(1, 1, 80, 16), torch.rand(3, 1, 3, 64, 64)
    monkeypatch.setattr(halves, "EDITED_FROM", 0.25)
    assert edited_rows(64) == slice(16, 64)
    one, other, reference = pictures
    assert (hide_lower_half(one)[:, :, 16:] == 0).all()
    assert (join_halves(one, reference)[:, :, :16] == one[:, :, :16]).all()
    other[:, :, :16] = one[:, :, :16]  # alike where networks may look
    made = [enlarge_lips(net, mels, face, reference).face for face in (one, other)]
    torch.testing.assert_close(*made, rtol=0, atol=0)
