"""Films of a validation, with the sound that belongs to them, as files of the run folder."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from retalking.media.images import to_uint8
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.sound.wav import write_clip
from retalking.types import AudioClip, VideoInfo

FRAME_RATE = 25


class Film(NamedTuple):
    """Consecutive frames at 25 per second, and what is heard.

    Attributes:
        frames: ``[T, 3, H, W]`` in [0, 1].
        sound: from the first frame on; ``None`` for a silent film.
    """

    frames: Tensor
    sound: AudioClip | None


def write_film(path: Path, film: Film) -> None:
    """Write a film, complete or not at all.

    Raises:
        MediaError: it cannot be written.
    """
    rgb = to_uint8(film.frames)
    num_frames, height_px, width_px, _ = rgb.shape
    info = VideoInfo(
        path=path.parent,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=0,
        time_base=Fraction(1, FRAME_RATE),
        frame_rate=Fraction(FRAME_RATE),
        num_frames=num_frames,
    )
    with tempfile.TemporaryDirectory(prefix="retalking-film-") as folder:
        track = None
        if film.sound is not None:
            write_clip(Path(folder, "sound.wav"), film.sound)
            track = AudioTrack(Path(folder, "sound.wav"), duration_s=num_frames / FRAME_RATE)
        with VideoWriter(path, info, EncoderOptions(), track) as writer:
            writer.write(rgb, np.arange(num_frames))
