"""Videos as batches: L-Net and E-Net take ``[B, C, T, H, W]`` but look at frames one by one.

Frames are laid out time-major (all first frames, then all second frames ...), as upstream does.
"""

from __future__ import annotations

from torch import Tensor


def flatten_frames(video: Tensor) -> Tensor:
    """Turn ``[B, C, T, H, W]`` into ``[T * B, C, H, W]``."""
    return video.permute(2, 0, 1, 3, 4).flatten(0, 1)


def flatten_mel(mel: Tensor) -> Tensor:
    """Turn ``[B, T, 1, 80, S]`` into ``[T * B, 1, 80, S]``."""
    return mel.transpose(0, 1).flatten(0, 1)


def restore_frames(frames: Tensor, num_frames: int) -> Tensor:
    """Turn ``[T * B, C, H, W]`` back into ``[B, C, T, H, W]``."""
    return frames.unflatten(0, (num_frames, -1)).permute(1, 2, 0, 3, 4)
