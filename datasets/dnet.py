"""D-Net's samples: two frames of a clip and the coefficients of the one that is to be made."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from datasets.augment import Augmentation, AugmentSettings
from datasets.sampling import DrawnWindow, WindowSampler, draw_other_starts, nearest_in_pose
from datasets.store.format import COEFFICIENTS, TRACKS
from datasets.store.reader import ClipFilter, Store
from datasets.store.sound import read_sound
from retalking.coefficients.basis import ExpressionBasis, move_points
from retalking.coefficients.windows import WINDOW_FRAMES, coefficient_windows
from retalking.config import Schema
from retalking.errors import ConfigError
from retalking.face.crops import STABILISER_PX
from retalking.ibug68 import lip_opening
from retalking.media.images import to_tensor
from retalking.types import AudioClip, FloatArray


class DNetDataSettings(Schema):
    """Where samples come from and how they vary."""

    store: Path
    splits: dict[str, float]
    """Share of samples from each split, in any unit."""
    size_px: int = Field(ge=32)
    """Side of the stored stabiliser crops to use."""
    num_candidates: int = Field(ge=1)
    """Frames among which the source is the one whose head pose is most like the target's; 1 takes
    any, as the paper does."""
    min_gap: int = Field(ge=0)
    """Frames between source and target; neighbours show nearly the same face."""
    min_native_px: float = Field(ge=0)
    """Leave out clips whose crop covers fewer pixels of the video."""
    exchanged: float = Field(ge=0, le=1)
    """Share of samples in which a frame is to get another expression in its own pose: of another
    frame, or part of a template. There is no picture of it; where its landmarks would be follows
    from the basis. Two frames of a clip differ in pose more than in expression, and with few clips
    the network learns the pose alone."""
    expression_basis: Path | None
    """Of the store's coefficients, for such samples; only those of the lite profile have one."""
    augment: AugmentSettings
    """Without flips: the coefficients of a mirrored face are not those of the face."""


class DNetSample(NamedTuple):
    """A sample, or a batch of samples with ``B`` in front of every shape.

    Attributes:
        sources: float32 ``[3, S, S]`` RGB in [0, 1].
        targets: float32 ``[3, S, S]`` RGB in [0, 1], another frame of the clip.
        windows: float32 ``[73, 26]``, coefficients around the target.
        source_points_px: float32 ``[68, 2]``, landmarks of the source in its pixels.
        target_points_px: float32 ``[68, 2]``, landmarks of the target.
        openings: float32 ``[]``, of the target's lips, see ``ibug68.lip_opening``.
        is_true: bool ``[]``, whether the target is a picture of what is to be made.
        clip_ids: name of the clip.
    """

    sources: Tensor
    targets: Tensor
    windows: Tensor
    source_points_px: Tensor
    target_points_px: Tensor
    openings: Tensor
    is_true: Tensor
    clip_ids: str


class DNetDataset:
    """Numbered samples of a store; ``len`` counts the different targets."""

    def __init__(self, settings: DNetDataSettings, seed: int) -> None:
        """Open the store.

        Raises:
            ConfigError: no store, no clip in it that fits, flips are wished, or expressions are to
                be exchanged without a basis.
        """
        if settings.exchanged and settings.expression_basis is None:
            raise ConfigError("expression_basis: got null, expected a file, or set exchanged to 0")
        path = settings.expression_basis
        self._basis = None if path is None else ExpressionBasis.from_file(path)
        if settings.augment.flip:
            raise ConfigError(
                f"augment.flip: got {settings.augment.flip:g}, expected 0: the coefficients of a "
                "mirrored face are not known"
            )
        self._settings = settings
        self._part = f"stabiliser_{settings.size_px}"
        needs = ClipFilter(
            splits=(),
            parts=(self._part, COEFFICIENTS),
            min_frames=2,
            min_native_px={"stabiliser_native_px": settings.min_native_px},
        )
        self._sampler = WindowSampler(Store(settings.store), settings.splits, needs, 1, seed)

    def __len__(self) -> int:
        return self._sampler.num_windows

    def coefficients(self, num_draws: int) -> Tensor:
        """Read the targets' coefficients ``[num_draws, 73]`` of the first draws."""
        rows = []
        for draw in range(num_draws):
            drawn = self._sampler(draw)
            rows.append(_windows(drawn, drawn.start)[:, WINDOW_FRAMES // 2])
        return torch.from_numpy(np.stack(rows))

    def __getitem__(self, draw: int) -> DNetSample:
        """Return the sample of that number."""
        drawn = self._sampler(draw)
        target = drawn.start
        settings = self._settings
        if self._basis is not None and drawn.rng.random() < settings.exchanged:
            return self._exchange(drawn, self._basis)
        others = draw_other_starts(drawn, 1, settings.num_candidates, settings.min_gap)
        source = nearest_in_pose(drawn.clip.array(TRACKS, "pose"), target, others, 1)
        augmentation = Augmentation.draw(self._settings.augment, drawn.rng)
        pair = augmentation.apply(drawn.clip.pictures(self._part, np.array([source, target])))
        pictures = to_tensor(pair)
        source_points, target_points = (
            drawn.clip.landmarks("stabiliser", frame, frame + 1, settings.size_px)[0]
            for frame in (source, target)
        )
        return DNetSample(
            sources=pictures[0],
            targets=pictures[1],
            windows=torch.from_numpy(_windows(drawn, target)),
            source_points_px=torch.from_numpy(source_points),
            target_points_px=torch.from_numpy(target_points),
            openings=torch.from_numpy(drawn.clip.rows(TRACKS, "opening", target, target + 1))[0],
            is_true=torch.tensor(True),
            clip_ids=drawn.clip.name,
        )

    def film(self, draw: int, num_frames: int) -> tuple[Tensor, Tensor, AudioClip | None]:
        """Read the beginning of a sample's clip.

        Returns:
            Frames float32 ``[F, 3, S, S]`` RGB in [0, 1], the coefficients around each of them,
            ``[F, 73, 26]``, and what is heard; ``F`` is ``num_frames`` or less.
        """
        drawn = self._sampler(draw)
        frames = range(min(num_frames, drawn.num_frames))
        windows = np.stack([_windows(drawn, frame) for frame in frames])
        pictures = to_tensor(drawn.clip.pictures(self._part, frames))
        sound = read_sound(drawn.clip, slice(0, len(frames)))
        return pictures, torch.from_numpy(windows), sound

    def _exchange(self, drawn: DrawnWindow, basis: ExpressionBasis) -> DNetSample:
        clip, frame, size_px = drawn.clip, drawn.start, self._settings.size_px
        before = clip.coefficients().expression[frame]
        choice = int(drawn.rng.integers(1 + len(basis.templates)))
        if choice == 0:
            after = clip.coefficients().expression[int(drawn.rng.integers(drawn.num_frames))]
        else:
            template = basis.templates[sorted(basis.templates)[choice - 1]]
            after = before + drawn.rng.uniform(0.3, 1) * (template - before)
        flat = clip.landmarks("stabiliser", frame, frame + 1, size_px).astype(np.float64)
        crop = clip.rows(TRACKS, "stabiliser_crop", frame, frame + 1)
        depth = clip.rows(TRACKS, "depth_px", frame, frame + 1) * crop[:, 0, :1]
        depth = depth * (size_px / STABILISER_PX)
        points = np.concatenate([flat, depth[..., None]], axis=2)
        moved = move_points(points, before[None], after[None], basis).astype(np.float32)
        augmentation = Augmentation.draw(self._settings.augment, drawn.rng)
        picture = to_tensor(augmentation.apply(clip.pictures(self._part, range(frame, frame + 1))))[
            0
        ]
        return DNetSample(
            sources=picture,
            targets=picture,
            windows=torch.from_numpy(_windows(drawn, frame, after.astype(np.float32))),
            source_points_px=torch.from_numpy(flat[0].astype(np.float32)),
            target_points_px=torch.from_numpy(moved[0, :, :2]),
            openings=torch.from_numpy(lip_opening(moved).astype(np.float32))[0],
            is_true=torch.tensor(False),
            clip_ids=clip.name,
        )


def _windows(drawn: DrawnWindow, frame: int, template: FloatArray | None = None) -> FloatArray:
    one_shot = np.zeros(drawn.num_frames, np.int64)
    return coefficient_windows(drawn.clip.coefficients(), [frame], one_shot, template)[0]
