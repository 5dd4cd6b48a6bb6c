"""Label faces with MediaPipe's face mesh, the teacher of the lite landmark network.

Runs in an environment of its own (scripts/lite/requirements-teacher.txt):

    .venv-teacher/bin/python -m scripts.lite.label_landmarks --clips ../shared/clips \
        --images ../shared/images --out /tmp/labels

Writes one npz per clip or image to ``OUT/SPLIT/NAME.npz``:

    frame     int64   [n]           frame index of each labelled face
    points    float32 [n, 68, 3]    iBUG points in pixels; z in the same scale, smaller = nearer
    size_px   int64   [2]           width and height
    num_frames int64  []            decoded frames
    crops     uint8   [m, 192, 192, 3] wide crops of some of the faces, for training
    crop_points float32 [m, 68, 3]  their points, normalised to the crop
    negatives uint8   [k, 128, 128, 3] cascade false alarms and random squares without a face

Splits: the folder's name (train, val, silent, images); lrcar clips go to lrcar_train and lrcar_val
as the manifest says.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from retalking.script import run_entry_point

import av
import cv2
import mediapipe
import numpy as np

from retalking.errors import ConfigError
from retalking.face.landmark_crop import (
    FaceCrop,
    crop_around_box,
    crop_around_landmarks,
    cut_crop,
    landmark_box,
)

WIDE_MARGIN = 2.1
WIDE_SIZE_PX = 192
NEGATIVE_SIZE_PX = 128
SMALLEST_FACE_PX = 32

IBUG_FROM_MESH = (
    # jaw, from the subject's right ear over the chin to the left ear
    *(127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107),  # right brow
    *(336, 296, 334, 293, 300),  # left brow
    *(168, 197, 5, 4),  # nose bridge to tip
    *(98, 97, 2, 326, 327),  # nostrils
    *(33, 160, 158, 133, 153, 144),  # right eye
    *(362, 385, 387, 263, 373, 380),  # left eye
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91),  # outer lips
    *(78, 81, 13, 311, 308, 402, 14, 178),  # inner lips
)
"""Vertex of the 468-point mesh for each of the 68 iBUG points."""


@dataclass(frozen=True)
class Job:
    """One file to label."""

    source: Path
    target: Path
    is_image: bool
    label_stride: int
    num_crops: int


def main() -> int:
    """Label everything asked for; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder with MANIFEST.tsv")
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="folder for the labels")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--crops-per-clip", type=int, default=80, help="default 80; lrcar 4")
    args = parser.parse_args()
    manifest = args.clips / "MANIFEST.tsv"
    if not manifest.is_file() or not args.images.is_dir():
        raise ConfigError(f"expected {manifest} and the folder {args.images}")
    jobs = [job for job in list_jobs(args) if not job.target.exists()]
    with ProcessPoolExecutor(args.workers) as pool:
        for done, line in enumerate(pool.map(label, jobs), 1):
            print(f"{done}/{len(jobs)} {line}", flush=True)
    return 0


def list_jobs(args: argparse.Namespace) -> Iterator[Job]:
    """Yield the files: small folders first, validation clips without training crops."""
    with (args.clips / "MANIFEST.tsv").open() as lines:
        manifest = {row["file"]: row["split"] for row in csv.DictReader(lines, delimiter="\t")}
    for source in sorted(args.images.glob("*.jpg")):
        yield Job(source, args.out / "images" / f"{source.stem}.npz", True, 1, 5)
    for folder in ("train", "silent", "val", "lrcar"):
        for source in sorted((args.clips / folder).glob("*.mp4")):
            split, stride, crops = folder, 1, args.crops_per_clip
            if folder == "lrcar":
                split = f"lrcar_{manifest.get(f'clips/lrcar/{source.name}', 'train')}"
                stride, crops = 3, 4
            crops = 0 if split.endswith("val") else crops
            yield Job(source, args.out / split / f"{source.stem}.npz", False, stride, crops)


def read_frames(job: Job) -> Iterator[np.ndarray]:
    """Yield the RGB frames of a file; for labelling only, hence without rotation or timestamps."""
    if job.is_image:
        picture = cv2.imread(str(job.source))
        if picture is None:
            raise ValueError(f"{job.source} is not a picture that OpenCV can read")
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        return
    with av.open(str(job.source)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def label(job: Job) -> str:
    """Label one file and return a line for the log."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([ord(c) for c in job.source.stem])
    frames = list(read_frames(job))
    found: list[tuple[int, np.ndarray]] = []
    with mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=job.is_image, max_num_faces=3, refine_landmarks=True
    ) as mesh:
        for index in range(0, len(frames), job.label_stride):
            found.extend((index, points) for points in mesh_points(mesh, frames[index]))
    picks = rng.permutation(len(found))[: job.num_crops]
    crops: list[np.ndarray] = []
    crop_points: list[np.ndarray] = []
    negatives: list[np.ndarray] = []
    for pick in sorted(picks):
        index, points = found[pick]
        crop = crop_around_landmarks(points, WIDE_MARGIN)
        crops.append(cut_crop(frames[index], crop, WIDE_SIZE_PX))
        crop_points.append(crop.to_crop(points))
        if job.is_image or len(negatives) < job.num_crops // 2:
            faces = np.stack([landmark_box(p) for i, p in found if i == index])
            negatives.extend(cut_negatives(frames[index], faces, rng, 2))
    height, width = frames[0].shape[:2]
    job.target.parent.mkdir(parents=True, exist_ok=True)
    partial = job.target.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            frame=np.array([index for index, _ in found], np.int64),
            points=np.array([points for _, points in found], np.float32).reshape(-1, 68, 3),
            size_px=np.array([width, height], np.int64),
            num_frames=np.int64(len(frames)),
            crops=np.array(crops, np.uint8).reshape(-1, WIDE_SIZE_PX, WIDE_SIZE_PX, 3),
            crop_points=np.array(crop_points, np.float32).reshape(-1, 68, 3),
            negatives=np.array(negatives, np.uint8).reshape(
                -1, NEGATIVE_SIZE_PX, NEGATIVE_SIZE_PX, 3
            ),
        )
    partial.rename(job.target)
    return f"{job.target.parent.name}/{job.source.stem}: {len(found)} faces in {len(frames)} frames"


def mesh_points(mesh: mediapipe.solutions.face_mesh.FaceMesh, rgb: np.ndarray) -> list[np.ndarray]:
    """Return the 68 points ``[68, 3]`` of every face in a frame, in pixels."""
    height, width = rgb.shape[:2]
    result = mesh.process(rgb).multi_face_landmarks or []
    faces = []
    for face in result:
        vertices = np.array([(v.x * width, v.y * height, v.z * width) for v in face.landmark])
        points = vertices[list(IBUG_FROM_MESH)].astype(np.float32)
        points[:, :2] -= 0.5  # MediaPipe's origin is the corner of the first pixel
        points[:, 2] -= points[:, 2].mean()
        low, high = landmark_box(points)[:2], landmark_box(points)[2:]
        if (high - low).max() >= SMALLEST_FACE_PX:
            faces.append(points)
    return faces


def cut_negatives(
    rgb: np.ndarray, faces_px: np.ndarray, rng: np.random.Generator, count: int
) -> list[np.ndarray]:
    """Cut squares that touch no face: what the cascade takes for one, then random ones."""
    height, width = rgb.shape[:2]
    folder = Path(cv2.__file__).parent / "data"
    cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
    scale = min(1.0, 480 / max(width, height))
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale)
    alarms = [np.asarray(box, float) / scale for box in cascade.detectMultiScale(grey, 1.2, 0)]
    boxes = [
        (x, y, x + w, y + h) for x, y, w, h in rng.permutation(np.array(alarms).reshape(-1, 4))
    ]
    for _ in range(10):
        side = rng.uniform(0.12, 0.6) * min(height, width)
        x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
        boxes.append((x, y, x + side, y + side))
    free = [box for box in boxes if not touches(np.array(box), faces_px)][:count]
    crops = [crop_around_box(np.array(box, np.float32)) for box in free]
    turned = [FaceCrop(c.center_px, c.side_px, float(rng.uniform(-0.5, 0.5))) for c in crops]
    return [cut_crop(rgb, crop, NEGATIVE_SIZE_PX) for crop in turned]


def touches(box: np.ndarray, faces_px: np.ndarray) -> bool:
    """Whether a box overlaps a face by more than a tenth of the smaller of the two."""
    low, high = np.maximum(box[:2], faces_px[:, :2]), np.minimum(box[2:], faces_px[:, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(faces_px[:, 2:] - faces_px[:, :2], axis=1)
    return bool((overlap > 0.1 * np.minimum(areas, np.prod(box[2:] - box[:2]))).any())


if __name__ == "__main__":
    run_entry_point(main)
