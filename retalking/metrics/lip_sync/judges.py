"""The two judges of lip sync: the official SyncNet, and the expert that trains L-Net."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models import weights
from models.blocks.lower_half import lower_half
from models.syncnet import SyncExpert, SyncNet
from retalking.errors import WeightsError
from retalking.face.crops import LIP_PX, cut, lip_crops, smooth_anchors
from retalking.locations import CHECKPOINTS
from retalking.media.images import to_tensor
from retalking.media.sound.mel import log_mel
from retalking.metrics.lip_sync.mfcc import mfcc
from retalking.metrics.lip_sync.sync import FRAME_RATE, WINDOW_FRAMES
from retalking.networks.lip_calls import EXPERT_PX, shrink_for_expert, view_of_expert
from retalking.types import AudioClip, FaceTrack, Float64Array, FloatArray, IntArray, UInt8Array
from retalking.weights import catalogue

_SYNCNET_PX = 224
_CROP_SCALE = 0.4
_BORDER_LEVEL = 110
_MEDIAN_FRAMES = 13
_MFCC_PER_FRAME, _MFCC_WINDOW = 4, 20
_BATCH = 256  # speech windows
EXPERT_FILE = Path("lite", "expert.safetensors")
"""Our own expert, in the folder of checkpoints."""


class SyncNetJudge:
    """SyncNet (Chung and Zisserman 2016) behind the face-track crop of syncnet_python.

    A square around the box of the face, smoothed by a median over 13 frames: as wide as 1.4 of the
    box's longer side, and reaching from its top to 0.4 of that side below it.

    Args:
        network: with the weights of syncnet_v2.model.
        device: where it is.
    """

    crop = "crop: face track, scale 0.40, boxes hairline to chin"

    def __init__(self, network: SyncNet, device: torch.device) -> None:
        self._network = network
        self._device = device

    def place(self, track: FaceTrack, rows: IntArray) -> Float64Array:
        """Centre ``x``, ``y`` and half the side of the smoothed boxes, ``[N, 3]``."""
        from scipy.ndimage import median_filter  # noqa: PLC0415 - takes long to import

        x1, y1, x2, y2 = track.boxes_px[rows].astype(np.float64).T
        squares = np.stack([(x1 + x2) / 2, (y1 + y2) / 2, np.maximum(x2 - x1, y2 - y1) / 2], axis=1)
        # Zeros beyond the ends, as SciPy's medfilt has them: the first boxes come out small there.
        return np.asarray(median_filter(squares, (_MEDIAN_FRAMES, 1), mode="constant"))

    def cut(self, rgb: UInt8Array, place: Float64Array) -> UInt8Array:
        """Cut the square, grey beyond the frame, and resize it to 224 px."""
        x, y, half = place.tolist()
        pad = int(half * (1 + 2 * _CROP_SCALE))  # of the original, whose rounding depends on it
        beside, below = half * (1 + _CROP_SCALE), half * (1 + 2 * _CROP_SCALE)
        x1, x2, y1, y2 = (
            int(edge + pad) - pad for edge in (x - beside, x + beside, y - half, y + below)
        )
        height, width = rgb.shape[:2]
        within = rgb[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
        above, under, left, right = (max(size, 0) for size in (-y1, y2 - height, -x1, x2 - width))
        grey = [_BORDER_LEVEL] * rgb.shape[2]
        square = cv2.copyMakeBorder(
            within, above, under, left, right, cv2.BORDER_CONSTANT, value=grey
        )
        return cv2.resize(square, (_SYNCNET_PX, _SYNCNET_PX)).astype(np.uint8, copy=False)

    def embed_lips(self, faces: UInt8Array) -> Tensor:
        """Embed windows of BGR in 0..255."""
        bgr = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1])).to(self._device).float()
        windows = bgr.unfold(0, WINDOW_FRAMES, 1)  # [N, H, W, 3, 5]
        return self._network.embed_lips(windows.permute(0, 3, 4, 1, 2))

    def embed_speech(self, speech: AudioClip, num_windows: int) -> Tensor:
        """Embed windows of 20 MFCC columns that begin every fourth."""
        columns = torch.from_numpy(mfcc(speech).astype(np.float32))
        windows = columns.unfold(0, _MFCC_WINDOW, _MFCC_PER_FRAME)[:num_windows, None]
        parts = windows.split(_BATCH)
        return torch.cat([self._network.embed_audio(part.to(self._device)) for part in parts])


class ExpertJudge:
    """Wav2Lip's kind of expert, official or ours, on this project's lip crop, seen at 96 px.

    Its numbers are distances of unit vectors, not comparable with SyncNet's.

    Args:
        expert: trained on five frames.
        device: where it is.
    """

    crop = "crop: lip crop of this project, 96 px, lower half"

    def __init__(self, expert: SyncExpert, device: torch.device) -> None:
        self._expert = expert
        self._device = device

    def place(self, track: FaceTrack, rows: IntArray) -> Float64Array:
        """Crop matrices ``[N, 2, 3]``."""
        return lip_crops(smooth_anchors(track)[rows])

    def cut(self, rgb: UInt8Array, place: Float64Array) -> UInt8Array:
        """Cut the face as the expert's training data are cut."""
        face = cut(rgb, place, LIP_PX)
        return cv2.resize(face, (EXPERT_PX, EXPERT_PX)).astype(np.uint8, copy=False)

    def embed_lips(self, faces: UInt8Array) -> Tensor:
        """Embed lower halves of lip crops of any size."""
        lower = lower_half(shrink_for_expert(to_tensor(faces, self._device)))
        windows = lower.unfold(0, WINDOW_FRAMES, 1).permute(0, 4, 1, 2, 3)  # [N, 5, 3, h, W]
        lips = self._expert.face_encoder(view_of_expert(windows))
        return F.normalize(lips.flatten(1), dim=1)

    def embed_speech(self, speech: AudioClip, num_windows: int) -> Tensor:
        """Embed the mel windows of speech."""
        return self.embed_mels(log_mel(speech).windows(np.arange(num_windows) / FRAME_RATE))

    def embed_mels(self, windows: FloatArray) -> Tensor:
        """Embed mel windows ``[N, 1, 80, 16]``."""
        mels = torch.from_numpy(windows)
        heard = [self._expert.audio_encoder(part.to(self._device)) for part in mels.split(_BATCH)]
        return F.normalize(torch.cat(heard).flatten(1), dim=1)


def load_syncnet(given: Mapping[str, Path], device: torch.device) -> SyncNetJudge:
    """Load ``syncnet_v2.model``.

    Raises:
        WeightsError: the file is not there, or another one.
    """
    path = catalogue.find("syncnet_v2", given=given)
    network = weights.load_any(path, SyncNet, "syncnet_v2")
    return SyncNetJudge(network.requires_grad_(False).to(device), device)


def load_expert(
    given: Mapping[str, Path], device: torch.device, folder: Path = CHECKPOINTS
) -> ExpertJudge:
    """Load our own expert, or the one that is given as ``lipsync_expert``, which may be Wav2Lip's.

    Raises:
        WeightsError: the file is not there, or does not fit.
    """
    path = given.get("lipsync_expert", folder / EXPERT_FILE)
    try:
        expert = weights.load_any(path, SyncExpert, "lipsync_expert")
        if expert.config.num_frames != WINDOW_FRAMES:
            raise WeightsError(
                f"{path}: sees {expert.config.num_frames} frames, expected {WINDOW_FRAMES}"
            )
    except WeightsError as error:
        raise WeightsError(
            f"no lip-sync expert: {error}; train one with train_syncnet.py, or give the file with "
            "--weights lipsync_expert=FILE"
        ) from None
    return ExpertJudge(expert.requires_grad_(False).to(device), device)
