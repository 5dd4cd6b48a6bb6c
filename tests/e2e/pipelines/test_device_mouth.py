"""On a GPU, pictures go up once and come down once; shown on the CPU, where copies are counted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from retalking.face.face_alignment_package import FanLandmarker
from retalking.inference.config import InferenceConfig
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.networks.device import Traffic
from retalking.networks.load import Parts
from retalking.rendering.masks import FACE_PARTS
from tests.e2e.conftest import FRAMES, HEIGHT, WIDTH, portrait_frames
from tests.faces import frontal_landmarks
from third_party.gfpgan import GFPGAN, GFPGANConfig
from third_party.gpen import GPEN, GPENConfig
from third_party.parsenet import FacePart, ParseNet, ParseNetConfig
from third_party.windows import Window

_LANDMARKS_BYTES = 68 * 3 * 4
_NUMBERS_BYTES = 80_000
"""Of a frame: windows of coefficients and of the mel, rows of the mask, the mark's pattern, and
where the pixels of FAN's crop come from."""
_SHOT_BYTES = 4 * (384**2 + 2 * 96**2)
"""Sent once for a shot: where the face is, and what says something about its tint."""
_JOB_BYTES = 4 * (512**2 + 384**2 + 192 * 224 + 2 * 19)
"""Sent once for a job: rims of crops, and which labels are face and mouth."""


@dataclass(frozen=True)
class Made:
    """A dub, and the copies that a GPU would have needed."""

    source: np.ndarray
    output: np.ndarray
    traffic: Traffic


class FixedFAN(nn.Module):
    """Sees the same face in every crop, so that D-Net seems to have moved it."""

    def forward(self, crops: Tensor) -> list[Tensor]:
        points = torch.from_numpy(frontal_landmarks(20.0) + np.array([33, 24])).float()
        columns = torch.arange(64) - points[..., :1]
        rows = torch.arange(64) - points[..., 1:]
        heights = torch.exp(-0.1 * (columns[:, None] ** 2 + rows[..., None] ** 2))
        return [heights.expand(len(crops), -1, -1, -1)]


class MiddleParser(ParseNet):
    """Sees faces in the middle of pictures: bands reach beyond a mask, and so may end elsewhere."""

    def forward(self, picture: Tensor, window: Window | None = None) -> Tensor:
        rows, columns = torch.meshgrid(torch.arange(512), torch.arange(512), indexing="ij")
        beyond = ((rows - 320) / 170) ** 2 + ((columns - 256) / 85) ** 2 > 1
        seen = beyond if window is None else window.of(beyond)
        scores = super().forward(picture, window)
        scores[:, FacePart.BACKGROUND] += 1e3 * seen
        return scores


@pytest.fixture
def official_parts(still_parts: Parts) -> Parts:
    """Restorers and parser of the official kinds, with few channels and random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = (
            GPEN(GPENConfig(narrow=0.05)),
            GFPGAN(GFPGANConfig(narrow=0.05)),
            MiddleParser(ParseNetConfig(base_channels=4, max_channels=8, body_depth=1)),
        )
        for network in networks:
            still_parts.runner.place(network)
            for parameter in network.parameters():
                if not parameter.any():
                    parameter.data.normal_(0, 0.1)
    gpen, gfpgan, parser = networks
    # So that most of a face is found to be one, and labels change from place to place.
    picture = torch.from_numpy(np.stack(portrait_frames(1, 512, 512))).permute(0, 3, 1, 2)
    scores, bias = parser(picture / 127.5 - 1), parser.out_mask_conv.conv2d.bias
    bias.data -= scores.mean((0, 2, 3))
    bias.data[list(FACE_PARTS)] += 0.5 * scores.std()
    return dataclasses.replace(still_parts, reference_enhancer=gpen, restorer=gfpgan, parser=parser)


def profile(name: str, folder: Path, **options: object) -> InferenceConfig:
    settings = {"tmp_dir": str(folder), "length_policy": "video", "chunk_size": FRAMES}
    return load_profile(name, {**settings, **options})


def dub(
    config: InferenceConfig, parts: Parts, clip: Path, speech: Path, holds_pictures: bool
) -> Made:
    """Dub in one chunk, in batches of two."""
    traffic = Traffic()
    runner = dataclasses.replace(
        parts.runner,
        precision=torch.float32,
        batch_size=2,
        holds_pictures=holds_pictures,
        traffic=traffic,
    )
    retalker = Retalker(config, dataclasses.replace(parts, runner=runner))
    with retalker.prepare(clip) as scene:
        if config.face_analysis == "official":  # what looks at D-Net's faces alone
            fan = FanLandmarker(FixedFAN(), torch.device("cpu"))
            parts = dataclasses.replace(retalker.parts, landmarker=fan)
            retalker = Retalker(config, parts)
        chunks = list(retalker.render(retalker.plan(scene, speech)))
    source = np.concatenate([chunk.source.rgb for chunk in chunks])
    return Made(source, np.concatenate([chunk.output.rgb for chunk in chunks]), traffic)


def assert_same(made: Made, wanted: Made) -> None:
    """The new face is a negative; its bands begin elsewhere where a part ends with the frame."""
    assert (wanted.output != wanted.source).sum() > 20_000
    difference = np.abs(made.output.astype(int) - wanted.output)
    assert (difference > 1).mean() < 0.001
    assert difference.max() <= 4


def dub_both_ways(
    config: InferenceConfig, parts: Parts, clip: Path, speech: Path
) -> tuple[Made, Made]:
    """Dub with pictures that travel to each network, and with such that stay, which look alike."""
    travelling, staying = (
        dub(config, parts, clip, speech, holds_pictures=holds) for holds in (False, True)
    )
    assert_same(staying, travelling)
    return travelling, staying


def assert_one_way_each(made: Made, extra_bytes: int) -> None:
    """Nothing but parts of frames, and numbers, travelled; some were sent once for all frames."""
    traffic = made.traffic
    part_bytes = traffic.bytes_fetched / FRAMES - _LANDMARKS_BYTES
    assert 0.2 * WIDTH * HEIGHT * 3 < part_bytes <= WIDTH * HEIGHT * 3
    numbers_bytes = (traffic.bytes_sent - extra_bytes) / FRAMES - part_bytes
    assert 0 < numbers_bytes < _NUMBERS_BYTES


def test_a_frame_travels_once_each_way(
    still_parts: Parts, tmp_path: Path, clip: Path, speech: Path
) -> None:
    config = profile("small", tmp_path, reference_source="current")
    by_network, made = dub_both_ways(config, still_parts, clip, speech)
    assert made.traffic.num_sent == 6 + 3  # the parts of the frames, five of numbers; of the shot
    assert made.traffic.num_fetched == 2  # landmarks of the references, finished parts
    assert_one_way_each(made, _SHOT_BYTES)
    assert by_network.traffic.bytes_sent > 4 * made.traffic.bytes_sent


@pytest.mark.parametrize("chosen", ["quiet", "first"])
def test_references_from_other_frames_go_up_once_for_a_shot(
    chosen: str, still_parts: Parts, tmp_path: Path, clip: Path, speech: Path
) -> None:
    config = profile("small", tmp_path, reference_source=chosen)
    _, made = dub_both_ways(config, still_parts, clip, speech)
    of_shot = 3 if chosen == "quiet" else 0  # other frames' surroundings are not in place
    assert made.traffic.num_sent == 6 + of_shot + 1
    assert made.traffic.num_fetched == 2
    reference_bytes = 256 * 256 * 3  # a single one of so few frames
    assert_one_way_each(made, (of_shot and _SHOT_BYTES) + reference_bytes)


@pytest.mark.parametrize("frames", ["all", pytest.param("teeth", marks=pytest.mark.slow)])
def test_restored_and_parsed_faces_stay_too(
    frames: str, official_parts: Parts, tmp_path: Path, clip: Path, speech: Path
) -> None:
    """The profile ``official`` as it is, but for its first pass."""
    config = profile("official", tmp_path, restorer_frames=frames)
    _, made = dub_both_ways(config, official_parts, clip, speech)
    teeth = frames == "teeth"  # landmarks of the new faces come down
    # The parts of the frames, and of numbers: FAN's crops, five as above, shares; five of the job.
    assert made.traffic.num_sent == 8 + 5
    assert made.traffic.num_fetched == 2 + teeth
    assert_one_way_each(made, _JOB_BYTES - teeth * FRAMES * _LANDMARKS_BYTES)
