"""LSE-D and LSE-C: how well lips and speech agree (Prajwal et al. 2020), by SyncNet's protocol.

A judge embeds windows of five frames at 25 per second, and the 0.2 s of speech that begin with
each of them. Every lip window is compared with the speech up to 15 frames earlier and later; what
lies outside is zero. With the mean over time of the distances at each of the 31 offsets,

* LSE-D is the least of them,
* LSE-C their median minus the least,
* the offset is that of the least: ``k`` frames if the speech comes ``k`` frames too early.

The value of a set is the mean over clips. In each clip the longest stretch of one shot in which
the face is seen is measured, which is SyncNet's longest face track. Positions are counted as by
SyncNet: five fewer than frames, and than speech lasts.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from retalking.errors import FaceNotFoundError, MediaError
from retalking.metrics.means import MeanMetric, sums
from retalking.metrics.metric import Clip, ClipChunk, Need, Quantity, State
from retalking.types import AudioClip, FaceTrack, Float64Array, IntArray, UInt8Array

FRAME_RATE = 25
WINDOW_FRAMES = 5
MAX_OFFSET = 15
MIN_FRAMES = 13
"""Half a second; less says nothing, and SyncNet smooths its crops over as many frames."""
_SAMPLE_RATE_HZ = 16_000
_SAMPLES_PER_FRAME = _SAMPLE_RATE_HZ // FRAME_RATE
_BATCH = 20


class SyncJudge(Protocol):
    """A pair of networks that embed lips and speech. ``N`` counts frames at 25 per second."""

    crop: str
    """What it sees of a frame, in words."""

    def place(self, track: FaceTrack, rows: IntArray) -> Float64Array:
        """Say where to cut: one row ``[N, ...]`` for each of these rows of the track."""

    def cut(self, rgb: UInt8Array, place: Float64Array) -> UInt8Array:
        """Cut what it sees out of a frame ``[H, W, 3]``."""

    def embed_lips(self, faces: UInt8Array) -> Tensor:
        """Embed all windows of five consecutive cuts ``[N + 4, ...]``: ``[N, D]``."""

    def embed_speech(self, speech: AudioClip, num_windows: int) -> Tensor:
        """Embed windows of 0.2 s that begin every 1/25 s: ``[num_windows, D]``."""


class LipSync(MeanMetric):
    """LSE-D, LSE-C and the offset of a judge.

    Args:
        judge: see there.
        prefix: of the quantities' names; empty for the official SyncNet alone.
    """

    needs: frozenset[Need] = frozenset({"speech", "result_track"})

    def __init__(self, judge: SyncJudge, prefix: str = "") -> None:
        self.quantities = (
            Quantity(f"{prefix}lse_d", "", "lower", note=judge.crop),
            Quantity(f"{prefix}lse_c", "", "higher", note=judge.crop),
            Quantity(f"{prefix}av_offset", "frames", "neither", note="at 25 fps; > 0: sound early"),
        )
        self._judge = judge

    def start(self, clip: Clip) -> SyncMeter:
        """Embed the speech.

        Raises:
            FaceNotFoundError: no frame shows the face.
            MediaError: the face or the speech is there for less than half a second.
        """
        return SyncMeter(self._judge, clip, tuple(q.name for q in self.quantities))


class SyncMeter:
    """Adds up the distances of one clip."""

    def __init__(self, judge: SyncJudge, clip: Clip, names: tuple[str, ...]) -> None:
        track, speech = clip.result_track, clip.speech
        assert track is not None
        assert speech is not None
        self._judge, self._name, self._names = judge, clip.name, names
        rows = _measured_rows(track, clip)
        begin = round(rows[0] / clip.frame_rate * _SAMPLE_RATE_HZ)
        heard = AudioClip(speech.samples[begin:], speech.sample_rate_hz)
        num_windows = min(len(rows), len(heard.samples) // _SAMPLES_PER_FRAME) - WINDOW_FRAMES
        if num_windows < MIN_FRAMES - WINDOW_FRAMES:
            raise MediaError(
                f"{clip.name}: got {len(rows) / FRAME_RATE:.2f} s of a face and "
                f"{heard.duration_s:.2f} s of speech, expected at least "
                f"{MIN_FRAMES / FRAME_RATE:.2f} s of both"
            )
        self._rows = rows[: num_windows + WINDOW_FRAMES - 1]
        self._places = judge.place(track, self._rows)
        with torch.inference_mode():
            speech_rows = judge.embed_speech(heard, num_windows)
            self._speech = F.pad(speech_rows, (0, 0, MAX_OFFSET, MAX_OFFSET))
        self._sums = torch.zeros(2 * MAX_OFFSET + 1, dtype=torch.float64)
        self._num_judged = 0
        self._faces: list[UInt8Array] = []

    def add(self, chunk: ClipChunk) -> None:
        """Cut the faces of the next frames, and judge those that fill a batch."""
        ends = (chunk.start, chunk.start + len(chunk.result))
        for position in range(*np.searchsorted(self._rows, ends)):
            rgb = chunk.result[self._rows[position] - chunk.start]
            self._faces.append(self._judge.cut(rgb, self._places[position]))
            if len(self._faces) == _BATCH + WINDOW_FRAMES - 1:
                self._judge_faces()

    def finish(self) -> State:
        """Return the clip's scores, counted once.

        Raises:
            MediaError: the video ended before the face track did.
        """
        if len(self._faces) >= WINDOW_FRAMES:
            self._judge_faces()
        if self._num_judged < len(self._rows) - WINDOW_FRAMES + 1:
            raise MediaError(f"{self._name}: the video ended before its face track did")
        scores = score_offsets(self._sums.numpy() / self._num_judged)
        return sums(**dict(zip(self._names, scores, strict=True)), count=1)

    @torch.inference_mode()
    def _judge_faces(self) -> None:
        lips = self._judge.embed_lips(np.stack(self._faces))
        first = self._num_judged
        heard = self._speech[first : first + len(lips) + 2 * MAX_OFFSET]
        self._sums += offset_distances(lips, heard).double().sum(0).cpu()
        self._num_judged += len(lips)
        del self._faces[: -(WINDOW_FRAMES - 1)]


def offset_distances(lips: Tensor, speech: Tensor) -> Tensor:
    """Euclidean distances of lips from speech at all offsets (of ``lips - speech + 1e-6``).

    Args:
        lips: ``[N, D]``.
        speech: ``[N + 30, D]``; row ``i + j`` is heard ``j - 15`` frames after lips ``i``.

    Returns:
        ``[N, 31]``, by ``j``.
    """
    windows = speech.unfold(0, 2 * MAX_OFFSET + 1, 1).transpose(1, 2)
    return F.pairwise_distance(lips[:, None], windows)


def score_offsets(distances: Float64Array) -> tuple[float, float, float]:
    """Return LSE-D, LSE-C and the offset of mean distances ``[31]``."""
    best = int(distances.argmin())
    least = float(distances[best])
    return least, float(np.median(distances)) - least, float(MAX_OFFSET - best)


def judge_windows(lips: Tensor, speech: Tensor) -> tuple[float, float, float]:
    """Return LSE-D, LSE-C and the offset of one clip.

    Args:
        lips: ``[N, D]``, of windows that begin with every frame.
        speech: ``[N, D]``, of what is heard with them.
    """
    around = F.pad(speech, (0, 0, MAX_OFFSET, MAX_OFFSET))
    return score_offsets(offset_distances(lips, around).double().mean(0).cpu().numpy())


def _measured_rows(track: FaceTrack, clip: Clip) -> IntArray:
    """Frames at 25 per second of the longest stretch with the face, as rows of the track.

    Raises:
        FaceNotFoundError: there is none.
    """
    changes = np.diff(track.shot_id) != 0
    changes |= track.detected[1:] != track.detected[:-1]
    stretches = np.split(np.arange(len(track)), np.flatnonzero(changes) + 1)
    seen = [rows for rows in stretches if len(rows) and track.detected[rows[0]]]
    if not seen:
        raise FaceNotFoundError(f"{clip.name}: no frame with a face in the result")
    longest = max(seen, key=len)
    count = max(1, int(len(longest) * FRAME_RATE / clip.frame_rate + 1e-6))
    nearest = np.floor(np.arange(count) * clip.frame_rate / FRAME_RATE + 0.5).astype(np.int64)
    return longest[np.minimum(nearest, len(longest) - 1)]
