"""Every option of the job does what it says, on a real face with networks that tell their input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models.dnet import DNetOutput
from models.enet import ENetOutput
from models.lnet import LNet, LNetConfig
from retalking.errors import ConfigError
from retalking.face.affine import transform_points
from retalking.media.images import save_image
from retalking.mouth import coverings
from retalking.networks.load import Parts
from tests.e2e.conftest import (
    FRAMES,
    HEIGHT,
    WIDTH,
    NegativeENet,
    StillDNet,
    portrait_frames,
)
from tests.e2e.jobs import Job, changed_rows, read_frames
from third_party.ganimation import GANimation, GANimationConfig
from third_party.gfpgan import GFPGAN, GFPGANConfig
from third_party.gpen import GPEN, GPENConfig
from third_party.parsenet import ParseNet, ParseNetConfig


def test_the_expression_of_every_window_is_the_template(job: Job, still_parts: Parts) -> None:
    seen = {}
    for text in ("neutral", "smile", "neutral:smile:0.25"):
        still_parts.dnet.windows.clear()
        job(exp_img=text)
        expressions = torch.cat(still_parts.dnet.windows)[:, :64]
        assert (expressions == expressions[:1, :, :1]).all()
        seen[text] = expressions[0, :, 0].numpy()
    mixed = 0.75 * seen["neutral"] + 0.25 * seen["smile"]
    np.testing.assert_allclose(seen["neutral:smile:0.25"], mixed, atol=1e-6)
    assert np.abs(seen["smile"] - seen["neutral"]).max() > 0.5


def test_a_picture_gives_its_expression(job: Job, still_parts: Parts, tmp_path: Path) -> None:
    save_image(tmp_path / "person.png", portrait_frames(1, 300, 260)[0])
    job(exp_img="smile")
    still_parts.dnet.windows.clear()
    job(exp_img=str(tmp_path / "person.png"))
    expression = torch.cat(still_parts.dnet.windows)[0, :64, 0].numpy()
    assert np.abs(expression - still_parts.templates["smile"]).max() > 0.1
    assert np.abs(expression).max() > 0


def test_an_unknown_expression_is_refused(job: Job) -> None:
    with pytest.raises(ConfigError, match=r"got template 'grin', expected one of neutral, smile"):
        job(exp_img="grin")


def test_the_upper_face_keeps_its_pixels_unless_asked(job: Job, clip: Path) -> None:
    source = read_frames(clip)
    top, bottom = changed_rows(source, job())
    whole_top, whole_bottom = changed_rows(source, job(without_rl1=True))
    assert whole_top < top - 0.1 * HEIGHT
    assert abs(whole_bottom - bottom) < 0.05 * HEIGHT


def test_an_emotion_changes_the_upper_face(job: Job, still_parts: Parts, clip: Path) -> None:
    emotion = GANimation(GANimationConfig(base_channels=4, num_blocks=1)).eval()
    parts = dataclasses.replace(still_parts, ganimation=emotion)
    source = read_frames(clip)
    plain, angry = job(), job(parts, up_face="angry")
    assert changed_rows(source, angry)[0] < changed_rows(source, plain)[0] - 0.1 * HEIGHT


def test_one_shot_takes_every_reference_from_the_first_face(job: Job, still_parts: Parts) -> None:
    job(one_shot=True)
    pictures = torch.cat(still_parts.dnet.pictures)
    assert len(pictures) == FRAMES
    assert (pictures == pictures[:1]).all()
    still_parts.dnet.pictures.clear()
    job()
    assert not torch.equal(torch.cat(still_parts.dnet.pictures)[-1], pictures[0])


def test_d_net_edits_quiet_frames(job: Job, still_parts: Parts) -> None:
    job()
    own = torch.cat(still_parts.dnet.pictures)
    still_parts.dnet.pictures.clear()
    job(reference_source="quiet")
    pictures = torch.cat(still_parts.dnet.pictures)
    assert len(pictures) == FRAMES
    # A fifth of the frames are quiet; each serves itself, being nearest in pose.
    themselves = [torch.equal(a, b) for a, b in zip(pictures, own, strict=True)]
    assert 0 < sum(themselves) <= max(round(0.2 * FRAMES), 1)
    assert all(any(torch.equal(picture, frame) for frame in own) for picture in pictures)


def test_a_warped_quiet_frame_needs_no_d_net(job: Job, still_parts: Parts, clip: Path) -> None:
    source, dubbed = read_frames(clip), job(reference_source="warped")
    assert still_parts.dnet.windows == []
    assert (source != dubbed).any(axis=(1, 2, 3)).all()
    assert np.array_equal(job(reference_source="warped", chunk_size=3), dubbed)


def test_masks_are_warned_of_where_networks_make_the_mouth(
    job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(coverings, "is_covered", lambda *_: True)
    job()
    assert "show a mask, a beard or deep shadow" in caplog.text


def test_surroundings_of_references_are_those_of_the_source(job: Job, still_parts: Parts) -> None:
    class Black(StillDNet):
        def forward(self, image: torch.Tensor, coefficients: torch.Tensor) -> DNetOutput:
            black = torch.full_like(image, -1)
            return DNetOutput(coefficients, coefficients, black, black)

    class Watch(NegativeENet):
        def forward(
            self,
            mel: torch.Tensor,
            faces: torch.Tensor,
            reference: torch.Tensor,
            *_: None,
            **__: bool,
        ) -> ENetOutput:
            references.append(reference.clone())
            return super().forward(mel, faces, reference)

    def seen(**options: object) -> torch.Tensor:
        references.clear()
        job(dataclasses.replace(still_parts, dnet=Black(), enet=Watch()), **options)
        return torch.cat(references)

    references: list[torch.Tensor] = []
    assert not seen(reference_surroundings="edited").any()
    kept = seen(reference_surroundings="source")
    mouth = kept[:, :, 240:300, 160:220]
    assert mouth.diff(dim=3).abs().mean() < 0.01  # the skin's colour, but none of its detail
    assert (kept[:, :, -40:, :40] > 0).float().mean() > 0.5
    # Another frame's face has its own surroundings.
    assert not seen(reference_surroundings="source", one_shot=True).any()


def test_restorers_and_the_parser_take_part(job: Job, still_parts: Parts) -> None:
    torch.manual_seed(0)
    narrow = {"narrow": 1 / 32, "style_dim": 16, "num_mlp_layers": 1}
    plain = job()
    enhancer = dataclasses.replace(still_parts, reference_enhancer=GPEN(GPENConfig(**narrow)))
    enhanced = job(enhancer)
    assert not np.array_equal(plain, enhanced)
    assert np.array_equal(plain, job(enhancer, reference_enhancer_strength=0.0))
    restorer = GFPGAN(GFPGANConfig(**narrow)).eval()
    restored = job(dataclasses.replace(still_parts, restorer=restorer))
    assert not np.array_equal(plain, restored)
    weaker = job(dataclasses.replace(still_parts, restorer=restorer), restorer_strength=0.3)
    difference = (
        np.abs(restored.astype(int) - plain).mean(),
        np.abs(weaker.astype(int) - plain).mean(),
    )
    assert difference[0] > difference[1] > 0
    parser = ParseNet(ParseNetConfig(base_channels=4, max_channels=8, body_depth=1)).eval()
    assert not np.array_equal(plain, job(dataclasses.replace(still_parts, parser=parser)))


def test_pads_enlarge_the_crop(job: Job, clip: Path) -> None:
    source = read_frames(clip)
    small = (source != job(pads=[0, 0, 0, 0], without_rl1=True)).mean()
    large = (source != job(pads=[40, 40, 40, 40], without_rl1=True)).mean()
    assert large > small


def test_crop_cuts_the_video(job: Job, clip: Path) -> None:
    cropped = job(crop=[8, HEIGHT - 8, 16, -1])
    assert cropped.shape[1:3] == (HEIGHT - 16, WIDTH - 16)
    source = read_frames(clip)[:, 8 : HEIGHT - 8, 16:]
    assert np.array_equal(cropped[:, :40], source[:, :40])


def test_the_edit_is_where_the_mouth_is(job: Job, clip: Path, still_parts: Parts) -> None:
    source, dubbed = read_frames(clip), job()
    boxes = still_parts.detector.detect(source[0])
    points, _ = still_parts.landmarker.predict(source[0], boxes)
    mouth = points[0, 48:68, :2].mean(axis=0)
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    x, y = np.rint(transform_points(identity, mouth[None])[0]).astype(int)
    around = np.abs(
        source[0, y - 4 : y + 4, x - 6 : x + 6].astype(int)
        - dubbed[0, y - 4 : y + 4, x - 6 : x + 6]
    )
    assert around.mean() > 10


def test_without_d_net_a_quiet_frame_is_the_reference(
    job: Job, still_parts: Parts, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, dubbed = read_frames(clip), job(dataclasses.replace(still_parts, dnet=None))
    assert still_parts.dnet.windows == []
    changed = (source != dubbed).any(axis=(1, 2, 3))
    assert changed.all()
    assert "no effect" not in caplog.text
    smiling = job(dataclasses.replace(still_parts, dnet=None), exp_img="smile")
    assert np.array_equal(smiling, dubbed)
    assert "--exp-img and --one-shot have no effect without D-Net" in caplog.text


def test_l_net_alone_paints_the_lips(job: Job, still_parts: Parts, clip: Path) -> None:
    narrow = LNetConfig(
        base_channels=8,
        max_channels=16,
        blocks_per_level=1,
        adain_channels=8,
        audio_channels=16,
        audio_base_channels=4,
        attention_head_channels=8,
        attention_hidden=16,
    )
    dubbed = job(dataclasses.replace(still_parts, enet=LNet(narrow).eval()))
    top, bottom = changed_rows(read_frames(clip), dubbed)
    assert bottom - top < 0.45 * HEIGHT
    assert bottom > top
