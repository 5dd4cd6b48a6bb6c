"""The healthy files that are damaged: small, made from the bundled sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from models import weights
from models.dnet import DNet, DNetConfig
from retalking.locations import REPOSITORY
from retalking.media.images import save_image
from retalking.media.output.encoding import EncoderOptions
from retalking.media.output.video_writer import VideoWriter
from retalking.media.sound import audio
from retalking.media.sound.audio_track import AudioTrack
from retalking.media.video import VideoReader
from retalking.types import UInt8Array, VideoInfo

SAMPLE = REPOSITORY / "assets" / "sample"
_SIDE_PX = 160
_SPEECH_S = 0.6
_SMALL_DNET = DNetConfig(
    descriptor_channels=16,
    adain_channels=8,
    warping_base_channels=8,
    warping_max_channels=16,
    editing_base_channels=8,
    editing_max_channels=16,
    editing_blocks=1,
)


def write_seeds(folder: Path) -> None:
    """Write ``talk.mp4``, ``talk.webm``, ``face.png``, ``speech.wav``, ``speech.flac``,
    ``dnet.safetensors`` and ``dnet.pt``.
    """
    frames = sample_frames(10)
    for name, codec in (("talk.mp4", "libx264"), ("talk.webm", "libvpx-vp9")):
        write_clip(folder / name, frames, EncoderOptions(codec=codec, preset="ultrafast"))
    save_image(folder / "face.png", frames[0])
    sound = audio.load(SAMPLE / "speech.wav")
    samples = sound.samples[: round(_SPEECH_S * sound.sample_rate_hz)]
    for name, codec in (("speech.wav", "pcm_s16le"), ("speech.flac", "flac")):
        _write_sound(folder / name, samples, sound.sample_rate_hz, codec)
    torch.manual_seed(0)
    network = DNet(_SMALL_DNET)
    weights.save(folder / "dnet.safetensors", network, dtype=torch.float16)
    torch.save({"net_G_ema": network.state_dict()}, folder / "dnet.pt")


def sample_frames(count: int, side_px: int = _SIDE_PX) -> UInt8Array:
    """Frames of the bundled sample, back and forth, ``[count, side, side, 3]``."""
    with VideoReader(SAMPLE / "talk.mp4") as reader:
        frames = next(iter(reader.read_chunks(min(count, 64)))).rgb
    small = [cv2.resize(rgb, (side_px, side_px), interpolation=cv2.INTER_AREA) for rgb in frames]
    turn = 2 * len(small) - 2 or 1
    order = np.arange(count) % turn
    return np.stack([small[k] for k in np.minimum(order, turn - order)])


def write_clip(path: Path, frames: UInt8Array, options: EncoderOptions) -> None:
    """Write frames with the sample's speech, 25 a second."""
    rate = Fraction(25)
    height_px, width_px = frames.shape[1:3]
    info = VideoInfo(SAMPLE / "talk.mp4", width_px, height_px, 0, 1 / rate, rate, len(frames))
    track = AudioTrack(SAMPLE / "speech.wav", duration_s=len(frames) / 25)
    with VideoWriter(path, info, options, track) as writer:
        writer.write(frames, np.arange(len(frames), dtype=np.int64))


def _write_sound(path: Path, samples: np.ndarray, rate_hz: int, codec: str) -> None:
    whole = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
