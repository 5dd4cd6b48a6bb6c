"""E-Net's samples: those of L-Net at 384 px, and the degradation that makes L-Net's input of them.

The paper (appendix C.3.3) feeds the frozen L-Net inside E-Net with compressed, shrunk versions of
the sharp frames, so that what it makes of them is as smooth as in inference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from datasets.lnet import LNetDataset, LNetDataSettings
from datasets.matched_speech import MatchedSpeech
from datasets.spoken_clips import TalkingFace
from datasets.store.format import ENHANCED, LIPS
from datasets.store.jpeg import compress
from models.enet import ENet, Noise
from retalking.media.images import to_tensor
from retalking.networks.lip_calls import SmallFaces, enlarge_lips


class ENetDataSettings(LNetDataSettings):
    """Where samples come from and how they vary."""

    jpeg_quality: tuple[float, float] = Field(strict=False)
    """Range from which the quality of the degraded frames is drawn, within 1 to 100."""
    enhanced: bool
    """Use the frames that GPEN sharpened (``scripts.prepare.enhance_lrs2``), as the paper does."""


class ENetSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        faces: float32 ``[T, 3, S, S]`` RGB in [0, 1].
        references: float32 ``[T, 3, S, S]`` RGB in [0, 1].
        mels: float32 ``[T, 1, 80, 16]`` in [-4, 4].
        expert_mel: float32 ``[1, 80, 16]``, see ``LNetSample``.
        landmarks_px: float32 ``[T, 68, 2]`` in the face's pixels.
        jpeg_quality: float32 ``[]``, for ``degrade``.
        noise_seeds: int64 ``[T]``, of the noise that E-Net adds to each face.
        clip_ids: name of the clip.
    """

    faces: Tensor
    references: Tensor
    mels: Tensor
    expert_mel: Tensor
    landmarks_px: Tensor
    jpeg_quality: Tensor
    noise_seeds: Tensor
    clip_ids: str


class ENetDataset:
    """Numbered samples of a store; ``len`` counts the different target windows."""

    def __init__(
        self, settings: ENetDataSettings, seed: int, matched: MatchedSpeech | None = None
    ) -> None:
        """Open the store.

        Raises:
            ConfigError: no store, or no clip in it that fits.
        """
        self._quality = settings.jpeg_quality
        self._seed = seed
        pictures = f"{ENHANCED if settings.enhanced else LIPS}_{settings.size_px}"
        self._lips = LNetDataset(settings, seed, pictures, matched)

    def __len__(self) -> int:
        return len(self._lips)

    def __getitem__(self, draw: int) -> ENetSample:
        """Return the sample of that number."""
        rng = np.random.default_rng((self._seed, draw, 1))
        sample = self._lips[draw]
        return ENetSample(
            faces=sample.faces,
            references=sample.references,
            mels=sample.mels,
            expert_mel=sample.expert_mel,
            landmarks_px=sample.landmarks_px,
            jpeg_quality=torch.tensor(rng.uniform(*self._quality), dtype=torch.float32),
            noise_seeds=torch.from_numpy(rng.integers(2**62, size=len(sample.faces))),
            clip_ids=sample.clip_ids,
        )


def degrade(faces: Tensor, jpeg_quality: Tensor, size_px: int) -> Tensor:
    """Compress sharp faces as JPEG and shrink them as E-Net does for its L-Net.

    Args:
        faces: ``[B, 3, S, S]`` in [0, 1]; gradients flow back to it.
        jpeg_quality: ``[B]``, 1 to 100.
        size_px: side of the result.

    Returns:
        ``[B, 3, size_px, size_px]`` in [0, 1].
    """
    packed = compress(faces, jpeg_quality)
    return F.interpolate(packed, (size_px, size_px), mode="bilinear", align_corners=False)


def enlarge(net: ENet, batch: ENetSample) -> tuple[Tensor, Tensor]:
    """Let L-Net speak on degraded faces and E-Net enlarge what it says.

    Returns:
        RGB faces ``[N, 3, S, S]`` and L-Net's ``[N, 3, s, s]``, both float32.
    """
    quality = batch.jpeg_quality.repeat_interleave(batch.faces.shape[1])
    noise: Noise = batch.noise_seeds.flatten() if net.training else "zero"
    rgb = batch.faces.flatten(0, 1), batch.references.flatten(0, 1)
    return enlarge_degraded(net, batch.mels.flatten(0, 1), *rgb, quality, noise)


def enlarge_degraded(
    net: ENet,
    mels: Tensor,
    faces: Tensor,
    references: Tensor,
    jpeg_quality: Tensor,
    noise: Noise = "zero",
) -> tuple[Tensor, Tensor]:
    """Do the same with frames that belong to no sample.

    Args:
        net: see there.
        mels: ``[N, 1, 80, 16]``.
        faces: ``[N, 3, S, S]`` RGB in [0, 1].
        references: like ``faces``.
        jpeg_quality: ``[N]``, of the degraded faces.
        noise: see ``ENet.forward``.
    """
    with torch.no_grad(), torch.autocast(faces.device.type, enabled=False):
        size_px = net.config.low_res_size_px
        small = SmallFaces(*(degrade(rgb, jpeg_quality, size_px) for rgb in (faces, references)))
    large, low_res = enlarge_lips(net, mels, faces, references, noise, small)
    return large.float(), low_res.float()


def film_talker(net: ENet, talker: TalkingFace, jpeg_quality: Tensor) -> Tensor:
    """Enlarge a clip frame by frame, beside its small and its true faces.

    Args:
        net: in evaluation mode.
        talker: the clip.
        jpeg_quality: ``[1]``, of the degraded faces, on the network's device.

    Returns:
        ``[F, 3, S, 3 S]`` in [0, 1].
    """
    device = jpeg_quality.device
    faces, references = (to_tensor(rgb, device) for rgb in (talker.faces, talker.references))
    mels = torch.from_numpy(talker.speech.mels).to(device)
    rows = []
    for one in zip(mels.split(1), faces.split(1), references.split(1), strict=True):
        output, low_res = enlarge_degraded(net, *one, jpeg_quality)
        plain = F.interpolate(low_res, output.shape[-2:], mode="bicubic")
        rows.append(torch.cat([plain.clamp(0, 1), output.clamp(0, 1), one[1]], dim=3))
    return torch.cat(rows)
