"""The lite profile from file to file: the speaker's own pixels, driven by what is heard."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.media.video import VideoReader
from retalking.mouth.own_pixels import OwnPixelsMouth
from retalking.mouth.warp import WarpMouth
from retalking.networks.load import Parts, load_parts
from tests.e2e.conftest import FRAMES, HEIGHT
from third_party.ganimation import GANimation, GANimationConfig
from third_party.gfpgan import GFPGAN, GFPGANConfig
from third_party.parsenet import ParseNet, ParseNetConfig

Job = Callable[..., np.ndarray]


def read_frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.concatenate([chunk.rgb for chunk in reader.read_chunks(8)])


@pytest.fixture(scope="module")
def parts() -> Parts:
    return load_parts(load_profile("lite", {"device": "cpu", "batch_size": 1}))


@pytest.fixture
def job(parts: Parts, tmp_path: Path, clip: Path, speech: Path) -> Job:
    def run(parts: Parts = parts, **options: object) -> np.ndarray:
        settings = {"codec": "ffv1", "tmp_dir": str(tmp_path / "cache"), **options}
        Retalker(load_profile("lite", settings), parts)(clip, speech, tmp_path / "out.mkv")
        return read_frames(tmp_path / "out.mkv")

    return run


def changed_rows(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    rows = np.flatnonzero((before != after).any(axis=(0, 2, 3)))
    return int(rows.min()), int(rows.max())


def test_the_networks_of_the_paper_are_not_loaded(parts: Parts) -> None:
    assert parts.dnet is parts.enet is parts.reference_enhancer is None
    assert parts.listener is not None
    names = {path.name for path in parts.weight_files}
    assert {"lips.safetensors", "speech_encoder.safetensors"} <= names
    assert not {"dnet.safetensors", "lnet.safetensors", "enet.safetensors"} & names


@pytest.mark.parametrize("profile", ["lite", "small"])
def test_either_way_may_be_asked_for_in_either_profile(profile: str) -> None:
    for mouth in ("warp", "networks"):
        config = load_profile(profile, {"mouth": mouth})
        loads = {path.name for path in config.weight_files()}
        assert ("lips.safetensors" in loads) == (mouth == "warp")
        assert ("enet.safetensors" in loads) == (mouth == "networks")


def test_only_the_lower_face_changes(job: Job, clip: Path) -> None:
    source, dubbed = read_frames(clip), job()
    assert len(dubbed) == FRAMES
    top, bottom = changed_rows(source, dubbed)
    assert 0.4 * HEIGHT < top < bottom < 0.9 * HEIGHT  # from below the nose to the neck
    assert (source != dubbed).any(axis=-1).mean() < 0.15


@pytest.mark.parametrize("chunk_size", [1, 3])
def test_the_chunk_size_does_not_change_a_frame(job: Job, chunk_size: int) -> None:
    expected = job(chunk_size=FRAMES)
    again = job(chunk_size=chunk_size, re_preprocess=True)
    assert np.array_equal(expected, again)


def test_strength_and_expression_move_the_lips(job: Job) -> None:
    usual = job()
    for options in ({"lip_strength": 0.0}, {"exp_img": "smile"}):
        assert not np.array_equal(usual, job(**options))


def test_an_interrupted_job_goes_on(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = job(chunk_size=2)
    warp, seen = WarpMouth.layers, []

    def layers(self: WarpMouth, *arguments: object) -> object:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(arguments)
        return warp(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(WarpMouth, "layers", layers)
    with pytest.raises(KeyboardInterrupt):
        job(chunk_size=2)
    monkeypatch.setattr(WarpMouth, "layers", warp)
    begun: list[int] = []
    begin = OwnPixelsMouth.begin
    monkeypatch.setattr(
        OwnPixelsMouth, "begin", lambda self, faces: begun.append(len(faces)) or begin(self, faces)
    )
    assert np.array_equal(job(chunk_size=2), whole)
    assert sum(begun) == FRAMES - 4


def test_restorer_parser_and_emotion_work_on_top(job: Job, parts: Parts, clip: Path) -> None:
    torch.manual_seed(0)
    plain = job()
    narrow = GFPGANConfig(narrow=1 / 32, style_dim=16, num_mlp_layers=1)
    restored = job(dataclasses.replace(parts, restorer=GFPGAN(narrow).eval()))
    assert not np.array_equal(plain, restored)
    source = read_frames(clip)
    # Within the same mask; at its very edge a change may round to nothing.
    edges = np.subtract(changed_rows(source, restored), changed_rows(source, plain))
    assert np.abs(edges).max() <= 3
    parser = ParseNet(ParseNetConfig(base_channels=4, max_channels=8, body_depth=1)).eval()
    assert not np.array_equal(plain, job(dataclasses.replace(parts, parser=parser)))
    emotion = GANimation(GANimationConfig(base_channels=4, num_blocks=1)).eval()
    angry = job(dataclasses.replace(parts, ganimation=emotion), up_face="angry")
    assert changed_rows(source, angry)[0] < changed_rows(source, plain)[0] - 0.1 * HEIGHT
    below = slice(changed_rows(source, plain)[0] + 20, None)
    assert np.array_equal(angry[:, below], plain[:, below])


def test_frames_without_a_file(parts: Parts, tmp_path: Path, clip: Path, speech: Path) -> None:
    retalker = Retalker(load_profile("lite", {"tmp_dir": str(tmp_path), "codec": "ffv1"}), parts)
    pictures, times_s = zip(*retalker.frames(clip, speech), strict=True)
    np.testing.assert_allclose(times_s, np.arange(FRAMES) / 25, atol=1e-3)
    with retalker.prepare(clip) as scene:
        for name in ("first", "second"):
            report = retalker.dub(scene, speech, tmp_path / f"{name}.mkv")
            assert report.num_edited == FRAMES
    assert np.array_equal(read_frames(tmp_path / "first.mkv"), np.stack(pictures))
    assert np.array_equal(read_frames(tmp_path / "second.mkv"), np.stack(pictures))
