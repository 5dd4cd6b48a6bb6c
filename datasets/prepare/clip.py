"""From one video to the clips of a store: the same faces in the same crops as in inference."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import torch

from datasets.prepare.cutting import (
    RATE_TOLERANCE,
    audio_start_s,
    cut_audio,
    cut_mel,
    cut_sizes,
    native_size,
    resample_frames,
    share_outside,
    take_frames,
    whole_frame,
)
from datasets.prepare.in_step import LipTeller, Speech, settle_offset
from datasets.prepare.manifest import ClipRow
from datasets.prepare.pose import describe_pose
from datasets.prepare.settings import PreparationSettings
from datasets.store.format import FRAME_RATE, RUN_MARK, TRACKS, encode_jpeg, pack_pictures
from retalking.errors import FaceNotFoundError, MediaError
from retalking.face.crops import (
    LIP_PX,
    STABILISER_PX,
    Pads,
    lip_crops,
    smooth_anchors,
    stabiliser_crops,
)
from retalking.face.follower import TrackingSettings
from retalking.face.tracking import select_track, track_faces
from retalking.ibug68 import lip_opening
from retalking.locations import CHECKPOINTS
from retalking.media.sound import audio
from retalking.media.sound.mel import log_mel
from retalking.media.video import VideoReader
from retalking.networks.device import choose_device
from retalking.networks.load import load_face_analysis
from retalking.types import (
    AudioClip,
    FaceTrack,
    Float64Array,
    IntArray,
    VideoInfo,
)

_CHUNK = 32


@dataclass
class PreparedClip:
    """A clip ready to be written.

    Attributes:
        name: unique in the store.
        parts: arrays by part and name.
        notes: text that goes with the tracks.
    """

    name: str
    parts: dict[str, dict[str, np.ndarray]]
    notes: dict[str, str] = field(default_factory=dict)


class ClipPreparer:
    """Turns rows of a manifest into clips of a store."""

    def __init__(self, settings: PreparationSettings) -> None:
        self._settings = settings
        kind = settings.face_analysis
        device = torch.device("cpu") if kind == "lite" else choose_device("auto")
        self._detector, self._landmarker, _ = load_face_analysis(kind, CHECKPOINTS, device)
        self._teller = LipTeller() if settings.offset_from == "speech" else None

    def prepare(self, row: ClipRow) -> list[PreparedClip]:
        """Prepare one video; cuts and gaps of the face make several clips of it.

        Raises:
            MediaError: unreadable media, missing audio, too short, or hopelessly out of step.
            FaceNotFoundError: no face.
        """
        audio_clip = self._load_speech(row)
        speech = self._listen(audio_clip) if audio_clip else None
        with VideoReader(row.media) as reader:
            rate = float(reader.info.frame_rate)
            if row.frame_rate and abs(rate / row.frame_rate - 1) > RATE_TOLERANCE:
                raise MediaError(
                    f"{row.media}: got {rate:g} frames per second, the manifest says "
                    f"{row.frame_rate:g}"
                )
            chunks = reader.read_chunks(_CHUNK)
            tracking = TrackingSettings(max_gap_s=self._settings.max_gap_s)
            tracks = track_faces(chunks, self._detector, self._landmarker, rate, tracking)
            stamps = tracks.pts
            times_s: Float64Array = (stamps - stamps[:1]) * np.float64(reader.info.time_base)
            lead_s = 0.0
            if audio_clip is not None and row.audio is None and len(stamps):
                lead_s = audio_start_s(row.media) - int(stamps[0]) * float(reader.info.time_base)
            frames = resample_frames(times_s)
            try:
                track = take_frames(select_track(tracks), frames)
            except FaceNotFoundError as error:
                raise FaceNotFoundError(f"{row.media}: {error}") from error
            lips = lip_crops(smooth_anchors(track), Pads())
            stabiliser = self._place_stabiliser(track, reader.info)
            clips: list[PreparedClip] = []
            held_out = round((1 - row.val_share) * len(track))
            for run in self._find_runs(track, row, held_out):
                view = _Run(
                    frames[run],
                    times_s[frames[run]],
                    take_frames(track, run),
                    lips[run],
                    stabiliser[run],
                )
                split = "val" if run.start >= held_out else row.split
                numbers, notes = self._describe(view, row, split)
                if audio_clip is not None and speech is not None:
                    offset_s = row.audio_offset_s + lead_s
                    try:
                        offset_s = settle_offset(numbers, offset_s, speech, self._settings, notes)
                    except MediaError as error:
                        raise MediaError(f"{row.media}: {error}") from None
                    numbers |= cut_mel(speech.mel, view.times_s - offset_s)
                    if self._settings.keep_audio:
                        numbers["audio"] = cut_audio(audio_clip, view.times_s - offset_s)
                name = row.clip if not clips else f"{row.clip}{RUN_MARK}{len(clips)}"
                parts = {TRACKS: numbers, **self._cut_pictures(reader, stamps, view)}
                clips.append(PreparedClip(name, parts, notes))
        return clips

    def _load_speech(self, row: ClipRow) -> AudioClip | None:
        if row.has_audio:
            try:
                return audio.load(row.audio or row.media)
            except MediaError:
                if self._settings.needs_speech or row.audio is not None:
                    raise
        elif self._settings.needs_speech:
            raise MediaError(f"{row.media}: has no speech, which this store needs")
        return None

    def _listen(self, clip: AudioClip) -> Speech:
        return Speech(log_mel(clip), None if self._teller is None else self._teller(clip))

    def _place_stabiliser(self, track: FaceTrack, info: VideoInfo) -> Float64Array:
        """D-Net's crops ``[F, 2, 3]``.

        Raises:
            MediaError: too much of them lies beyond the frame, or the frame is no crop.
        """
        size = (info.width_px, info.height_px)
        if self._settings.stabiliser_extent == "frame":
            try:
                crops = whole_frame(size, len(track))
            except MediaError as error:
                raise MediaError(f"{info.path}: {error}") from None
        else:
            crops = stabiliser_crops(track, FRAME_RATE)
        outside = share_outside(crops[track.detected], STABILISER_PX, size)
        if outside > self._settings.max_outside:
            raise MediaError(
                f"{info.path}: {outside:.0%} of D-Net's crop lies beyond the frame, expected at "
                f"most {self._settings.max_outside:.0%}; of a corpus that is cropped already, the "
                "frame is the crop (--stabiliser-extent frame)"
            )
        return crops

    def _find_runs(self, track: FaceTrack, row: ClipRow, held_out: int) -> list[slice]:
        changes = (np.diff(track.shot_id) != 0) | (np.diff(track.detected) != 0)
        edges = sorted({0, *(np.flatnonzero(changes) + 1).tolist(), held_out, len(track)})
        runs = [slice(a, b) for a, b in itertools.pairwise(edges) if track.detected[a]]
        longest = max((run.stop - run.start for run in runs), default=0)
        if longest < self._settings.min_frames:
            raise MediaError(
                f"{row.media}: the longest run of the face is {longest} frames at {FRAME_RATE} per "
                f"second, expected at least {self._settings.min_frames}"
            )
        return [run for run in runs if run.stop - run.start >= self._settings.min_frames]

    def _describe(
        self, view: _Run, row: ClipRow, split: str
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        track = view.track
        depth = track.depth_px if track.depth_px is not None else np.zeros((len(track), 68))
        numbers: dict[str, np.ndarray] = {
            "source_frame": view.frames,
            "time_s": view.times_s,
            "landmarks_px": track.landmarks_px,
            "depth_px": depth.astype(np.float32),
            "confidence": track.confidence,
            "lip_crop": view.lip_crops,
            "stabiliser_crop": view.stabiliser_crops,
            "opening": lip_opening(
                np.concatenate([track.landmarks_px, depth[..., None]], axis=-1)
            ).astype(np.float32),
            "pose": describe_pose(track, view.lip_crops),
        }
        notes = {
            "media": str(row.media),
            "identity": row.identity,
            "split": split,
            "licence": row.licence,
            "lip_native_px": f"{native_size(view.lip_crops, LIP_PX):.1f}",
            "stabiliser_native_px": f"{native_size(view.stabiliser_crops, STABILISER_PX):.1f}",
        }
        return numbers, notes

    def _cut_pictures(
        self, reader: VideoReader, stamps: IntArray, view: _Run
    ) -> dict[str, dict[str, np.ndarray]]:
        settings = self._settings
        lips_px = _worthwhile(settings, settings.lips_px, native_size(view.lip_crops, LIP_PX))
        native_px = native_size(view.stabiliser_crops, STABILISER_PX)
        stabiliser_px = _worthwhile(settings, settings.stabiliser_px, native_px)
        packs: dict[str, list[bytes]] = {
            **{f"lips_{size}": [] for size in lips_px},
            **{f"stabiliser_{size}": [] for size in stabiliser_px},
        }
        if not packs:
            return {}
        position = 0
        for chunk in reader.read_frames(view.frames, stamps, _CHUNK):
            for rgb in chunk.rgb:
                lip, face = view.lip_crops[position], view.stabiliser_crops[position]
                pictures = cut_sizes(rgb, lip, LIP_PX, lips_px, "lips")
                pictures |= cut_sizes(rgb, face, STABILISER_PX, stabiliser_px, "stabiliser")
                for part, picture in pictures.items():
                    packs[part].append(encode_jpeg(picture, settings.jpeg_quality))
                position += 1
        return {part: pack_pictures(pictures) for part, pictures in packs.items()}


@dataclass(frozen=True)
class _Run:
    """Uninterrupted frames of one face, with their numbers in the source and their crops."""

    frames: IntArray
    times_s: Float64Array
    track: FaceTrack
    lip_crops: Float64Array
    stabiliser_crops: Float64Array


def _worthwhile(
    settings: PreparationSettings, sizes_px: tuple[int, ...], native_px: float
) -> tuple[int, ...]:
    return tuple(size for size in sizes_px if size <= settings.max_enlargement * native_px)
