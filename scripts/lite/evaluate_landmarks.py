"""Measure the lite face analysis against its teacher, on clips and photographs not trained on.

    python -m scripts.lite.evaluate_landmarks --labels /tmp/labels --clips ../shared/clips \
        --images ../shared/images

Clips (``val``) are tracked as inference does it; photographs are searched one by one. Per clip:
teacher's faces found (box overlap above 0.5), mean landmark error and its 95th percentile in
percent of the distance between the outer eye corners, correlation and ratio of the spread of the
lip opening, faces per frame that the teacher does not have, and processor time per frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from retalking.script import run_entry_point

import av
import cv2
import numpy as np
import torch

from datasets.landmarks import is_held_out
from retalking.errors import ConfigError
from retalking.exit_code import report_mistakes
from retalking.face.detection import CascadeDetector, intersection_over_union
from retalking.face.follower import TrackingSettings
from retalking.face.landmarks import LITE_LANDMARKS_PATH, LiteLandmarker, face_boxes
from retalking.face.tracking import track_faces
from retalking.ibug68 import OUTER_EYE_CORNERS, lip_opening
from retalking.inference.profiles import load_profile
from retalking.types import FloatArray, FrameChunk

CHUNK_FRAMES = 16
HEADER = (
    f"{'':32}{'found %':>8}{'error %':>8}{'p95 %':>7}{'lip r':>7}{'spread':>7}{'extra':>7}{'ms':>6}"
)


@dataclass(frozen=True)
class Score:
    """What is measured on one clip or on a set of photographs; one entry per face of the teacher.

    Attributes:
        error: mean distance of the points over the eye distance; NaN where the face was missed.
        opening: true and found lip opening ``[N, 2]``.
        num_extra: faces that the teacher does not have.
        num_frames: pictures looked at.
        seconds: processor time.
    """

    error: FloatArray
    opening: FloatArray
    num_extra: int
    num_frames: int
    seconds: float

    def line(self, name: str) -> str:
        """Format as a row under ``HEADER``."""
        seen = self.error[~np.isnan(self.error)]
        true, found = self.opening[~np.isnan(self.error)].T
        many = len(seen) > 2
        return (
            f"{name:32}{100 * len(seen) / max(len(self.error), 1):8.2f}"
            f"{100 * seen.mean():8.2f}{100 * np.percentile(seen, 95):7.2f}"
            f"{np.corrcoef(true, found)[0, 1] if many else np.nan:7.3f}"
            f"{found.std() / true.std() if many else np.nan:7.2f}"
            f"{self.num_extra / self.num_frames:7.3f}{1000 * self.seconds / self.num_frames:6.1f}"
        )


@report_mistakes()
def main() -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=LITE_LANDMARKS_PATH)
    args = parser.parse_args()
    missing = [str(path) for path in (args.labels, args.clips, args.images) if not path.is_dir()]
    if missing:
        raise ConfigError(f"no such folder: {', '.join(missing)}")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    landmarker = LiteLandmarker.from_file(args.weights)
    detector = CascadeDetector(landmarker)
    print(HEADER)
    scores = []
    for label in sorted((args.labels / "val").glob("*.npz")):
        score = score_clip(args.clips / "val" / f"{label.stem}.mp4", label, detector, landmarker)
        scores.append(score)
        print(score.line(label.stem), flush=True)
    if scores:
        print(pool(scores).line("all clips, by frame"))
        errors = [float(np.nanmean(score.error)) for score in scores]
        print(f"mean over clips: error {100 * np.mean(errors):.2f} %")
    labels = sorted((args.labels / "images").glob("*.npz"))
    for name, held_out in (("photographs held out", True), ("photographs trained on", False)):
        chosen = [label for label in labels if is_held_out(label.stem) == held_out]
        if chosen:
            parts = [score_image(args.images, label, detector, landmarker) for label in chosen]
            with_face = sum(bool((~np.isnan(part.error)).any()) for part in parts)
            print(pool(parts).line(name), f"  {with_face} of {len(parts)} pictures have a face")
    return 0


def pool(scores: list[Score]) -> Score:
    """Put all faces together."""
    return Score(
        np.concatenate([score.error for score in scores]),
        np.concatenate([score.opening for score in scores]),
        sum(score.num_extra for score in scores),
        sum(score.num_frames for score in scores),
        sum(score.seconds for score in scores),
    )


def compare(true: FloatArray, found: FloatArray) -> tuple[list[float], list[list[float]], int]:
    """Match the teacher's faces ``[N, 68, 3]`` of a picture with those found ``[M, 68, 3]``.

    Returns:
        Errors (NaN: missed), true and found lip openings, and the number of faces left over.
    """
    errors, openings, used = [], [], set()
    boxes = face_boxes(found)
    for face in true:
        right, left = (face[corner, :2] for corner in OUTER_EYE_CORNERS)
        eyes = float(np.linalg.norm(left - right))
        shared = intersection_over_union(face_boxes(face), boxes) if len(found) else np.zeros(1)
        best = int(shared.argmax())
        pair = [face, found[best]] if shared[best] > 0.5 else [face, face]
        used.update([best] if shared[best] > 0.5 else [])
        distance = np.linalg.norm(pair[0][:, :2] - pair[1][:, :2], axis=1).mean() / eyes
        errors.append(float(distance) if shared[best] > 0.5 else np.nan)
        openings.append([float(lip_opening(points)) for points in pair])
    return errors, openings, len(found) - len(used)


def score_clip(
    clip: Path, label: Path, detector: CascadeDetector, landmarker: LiteLandmarker
) -> Score:
    """Track a clip and compare every frame."""
    tracking = TrackingSettings(max_gap_s=load_profile("lite", {}).max_gap_s)
    began = time.process_time()
    tracks = track_faces(read_chunks(clip), detector, landmarker, 25.0, tracking)
    seconds = time.process_time() - began
    with np.load(label) as truth:
        frames, points = truth["frame"], truth["points"]
    errors: list[float] = []
    openings: list[list[float]] = []
    num_extra = 0
    for number in np.unique(frames):
        found = [
            segment.points_px[number - segment.start]
            for segment in tracks.segments
            if segment.start <= number < segment.stop
        ]
        stacked = np.array(found, np.float32).reshape(-1, 68, 3)
        some_errors, some_openings, extra = compare(points[frames == number], stacked)
        errors += some_errors
        openings += some_openings
        num_extra += extra
    opening = np.array(openings, np.float32).reshape(-1, 2)
    return Score(np.array(errors, np.float32), opening, num_extra, len(tracks), seconds)


def score_image(
    folder: Path, label: Path, detector: CascadeDetector, landmarker: LiteLandmarker
) -> Score:
    """Search one photograph and compare."""
    picture = cv2.imread(str(folder / f"{label.stem}.jpg"))
    if picture is None:
        raise FileNotFoundError(f"{folder / label.stem}.jpg does not go with {label}")
    rgb = np.asarray(picture[..., ::-1], np.uint8)
    began = time.process_time()
    found, _ = landmarker.predict(rgb, detector.detect(rgb))
    seconds = time.process_time() - began
    with np.load(label) as truth:
        errors, openings, extra = compare(truth["points"], found)
    opening = np.array(openings, np.float32).reshape(-1, 2)
    return Score(np.array(errors, np.float32), opening, extra, 1, seconds)


def read_chunks(clip: Path) -> Iterator[FrameChunk]:
    """Yield the frames of a clip exactly as the teacher saw them."""
    frames: list[np.ndarray] = []
    start = 0
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == CHUNK_FRAMES:
                yield as_chunk(start, frames)
                start += len(frames)
                frames = []
    if frames:
        yield as_chunk(start, frames)


def as_chunk(start: int, frames: list[np.ndarray]) -> FrameChunk:
    """Stack frames."""
    return FrameChunk(start, np.arange(start, start + len(frames)), np.stack(frames))


if __name__ == "__main__":
    run_entry_point(main)
