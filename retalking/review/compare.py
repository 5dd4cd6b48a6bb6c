"""The contact sheet of a job, from its two files alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retalking.face.crops import LIP_PX, cut
from retalking.face.detection import CascadeDetector
from retalking.face.landmark_crop import FaceCrop, crop_around_box, cut_crop
from retalking.face.landmarks import LiteLandmarker
from retalking.media.sound import audio
from retalking.media.video import VideoReader
from retalking.rendering.edit_plan import EditPlan
from retalking.rendering.scene import Scene
from retalking.rendering.timeline import LengthPolicy, build_timeline
from retalking.review.contact_sheet import draw_contact_sheet, spread_times
from retalking.types import AudioClip, Float64Array, UInt8Array

NUM_COLUMNS = 8
_FACE_PX = 256
_FACE_MARGIN = 1.25


def compare(
    source: Path, dubbed: Path, num_columns: int = NUM_COLUMNS, policy: LengthPolicy = "audio"
) -> UInt8Array:
    """Draw the contact sheet of a job.

    Args:
        source: video or still image that was dubbed.
        dubbed: the result, with its sound.
        num_columns: how many moments to show, evenly spread.
        policy: how the job filled the length of its audio.

    Returns:
        uint8 ``[H, W, 3]``.

    Raises:
        MediaError: a file cannot be read.
    """
    speech = audio.load(dubbed)
    times_s = spread_times(speech.duration_s, num_columns)
    before = read_frames_at(source, times_s, policy)
    after = read_frames_at(dubbed, times_s, policy)
    crops = find_faces(before)
    if crops and before.shape == after.shape:
        before, after = (
            np.stack([cut_crop(f, c, _FACE_PX) for f, c in zip(frames, crops, strict=True)])
            for frames in (before, after)
        )
    return draw_contact_sheet({"source": before, "dubbed": after}, times_s, speech)


def draw_faces(scene: Scene, plan: EditPlan, result: Path, speech: AudioClip) -> UInt8Array:
    """Draw the contact sheet of a job that has just been done: the face that was chosen.

    Args:
        scene: the video.
        plan: of the output.
        result: the file.
        speech: what is heard.

    Returns:
        uint8 ``[H, W, 3]``.

    Raises:
        MediaError: a file cannot be read.
    """
    timeline = plan.timeline
    times_s = spread_times(timeline.duration_s, NUM_COLUMNS)
    numbers = np.searchsorted(timeline.time_s, times_s + 1e-6, side="right") - 1
    index = timeline.source_index[numbers]
    read = scene.source.read_frames(index, scene.analysis.pts, 1)
    before = np.concatenate([chunk.rgb for chunk in read])
    after = read_frames_at(result, times_s, "hold")
    pairs = zip(before, after, scene.to_lips[index], strict=True)
    faces = [(cut(old, crop, LIP_PX), cut(new, crop, LIP_PX)) for old, new, crop in pairs]
    rows = dict(zip(("source", "dubbed"), map(np.stack, zip(*faces, strict=True)), strict=True))
    return draw_contact_sheet(rows, times_s, speech)


def read_frames_at(path: Path, times_s: Float64Array, policy: LengthPolicy) -> UInt8Array:
    """Read what a job shows of a video at given times ``[N]``: uint8 ``[N, H, W, 3]``.

    Raises:
        MediaError: the video cannot be read.
    """
    with VideoReader(path) as reader:
        info = reader.info
        pts = np.concatenate([chunk.pts for chunk in reader.read_chunks(1)])
        length_s = float(times_s.max()) + float(1 / info.frame_rate)
        timeline = build_timeline(pts, info.time_base, info.frame_rate, length_s, policy)
        shown = np.searchsorted(timeline.time_s, times_s + 1e-6, side="right") - 1
        order = timeline.source_index[shown]
        return np.concatenate([chunk.rgb for chunk in reader.read_frames(order, pts, 1)])


def find_faces(frames: UInt8Array) -> list[FaceCrop]:
    """Return upright squares around the largest face of each frame ``[N, H, W, 3]``.

    A frame without a face gets the square of the nearest one with a face; no squares if no frame
    has one.
    """
    detector = CascadeDetector(LiteLandmarker.from_file())
    found = {}
    for index, frame in enumerate(frames):
        boxes = detector.detect(frame)
        if len(boxes):
            area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            found[index] = crop_around_box(boxes[area.argmax()], _FACE_MARGIN)
    if not found:
        return []
    return [found[min(found, key=lambda i: abs(i - index))] for index in range(len(frames))]
