"""Look at the lips in videos with networks that the project neither trains nor trains with.

Runs in an environment of its own (``setup.sh`` beside it), called by ``scripts/evaluate.py``:

    .venv-judge/bin/python scripts/judge/watch.py mediapipe JOBS.json --task face_landmarker.task
    .venv-judge/bin/python scripts/judge/watch.py dlib JOBS.json

JOBS is a list of ``{"video": FILE, "out": FILE.npz, "seconds": NUMBER}``. Writes for each

    time_s  float64 [F]        when each frame is shown
    names   str     [K]        of the shapes
    shapes  float64 [F, K]     NaN without a face
    points  float32 [F, P, 2]  pixels; NaN without a face

MediaPipe: ``opening`` and ``width`` of the lips in heights of the face, and blendshapes in 0..1;
478 points. dlib: ``opening`` and ``width`` in distances of the eyes; 68 points. The two share
nothing; dlib is noisier.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Look = tuple[list[float], np.ndarray]
BLENDSHAPES = ("jawOpen", "mouthPucker")
_FOREHEAD, _CHIN, _UPPER_LIP, _LOWER_LIP, _CORNERS = 10, 152, 13, 14, (61, 291)
_DETECT_EVERY = 5  # frames; dlib's detector is slow, and its points find the way from a rough box
_DETECT_PX = 480


def main() -> int:
    """Do the jobs; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("judge", choices=["mediapipe", "dlib"])
    parser.add_argument("jobs", type=Path, help="JSON list of videos")
    parser.add_argument("--task", type=Path, help="MediaPipe's face_landmarker.task")
    options = parser.parse_args()
    if options.judge == "mediapipe" and not options.task:
        parser.error("mediapipe needs --task")
    cv2.setNumThreads(1)
    for job in json.loads(options.jobs.read_text()):
        judge = MediaPipe(options.task) if options.judge == "mediapipe" else Dlib()
        watch(judge, job)
        print(job["video"], flush=True)
    return 0


class MediaPipe:
    """Google's face landmarker with blendshapes."""

    names = ("opening", "width", *BLENDSHAPES)
    num_points = 478

    def __init__(self, task: Path) -> None:
        import mediapipe  # noqa: PLC0415  the other judge does without
        from mediapipe.tasks.python import BaseOptions, vision  # noqa: PLC0415

        self._image = lambda rgb: mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        self._net = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(task)),
                output_face_blendshapes=True,
                num_faces=1,
                min_face_detection_confidence=0.3,
                running_mode=vision.RunningMode.IMAGE,  # no smoothing over time
            )
        )

    def look(self, rgb: np.ndarray) -> Look | None:
        """Return shapes and points of the face in a frame."""
        found = self._net.detect(self._image(rgb))
        if not found.face_landmarks:
            return None
        height, width = rgb.shape[:2]
        points = np.array([(p.x * width, p.y * height) for p in found.face_landmarks[0]])
        scores = {shape.category_name: shape.score for shape in found.face_blendshapes[0]}
        scale = distance(points, _FOREHEAD, _CHIN)
        opening = distance(points, _UPPER_LIP, _LOWER_LIP) / scale
        shapes = [opening, distance(points, *_CORNERS) / scale, *(scores[n] for n in BLENDSHAPES)]
        return shapes, points


class Dlib:
    """dlib's frontal face detector and 68 points."""

    names = ("opening", "width")
    num_points = 68

    def __init__(self) -> None:
        import dlib  # noqa: PLC0415

        package = importlib.util.find_spec("face_recognition_models")
        assert package is not None
        models = Path(package.origin or "").parent / "models"
        self._box: Any = None
        self._count = 0
        self._rectangle: Callable[..., Any] = dlib.rectangle
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(
            str(models / "shape_predictor_68_face_landmarks.dat")
        )

    def look(self, rgb: np.ndarray) -> Look | None:
        """Return shapes and points of the largest face; a lost one is taken to be where it was."""
        if self._box is None or self._count % _DETECT_EVERY == 0:
            self._box = self._detect(rgb) or self._box
        self._count += 1
        if self._box is None:
            return None
        points = np.array([(p.x, p.y) for p in self._predictor(rgb, self._box).parts()], float)
        eyes = float(np.linalg.norm(points[36:42].mean(axis=0) - points[42:48].mean(axis=0)))
        gaps = np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1)
        return [float(gaps.mean()) / eyes, distance(points, 48, 54) / eyes], points

    def _detect(self, rgb: np.ndarray) -> Any:
        scale = min(1.0, _DETECT_PX / max(rgb.shape[:2]))
        found = self._detector(cv2.resize(rgb, None, fx=scale, fy=scale), 1)
        if not len(found):
            return None
        best = max(found, key=lambda box: box.area())
        sides = (best.left(), best.top(), best.right(), best.bottom())
        return self._rectangle(*(int(side / scale) for side in sides))


def watch(judge: MediaPipe | Dlib, job: dict[str, Any]) -> None:
    """Look at the beginning of a video and write what was seen."""
    times, shapes, points = [], [], []
    blank = ([np.nan] * len(judge.names), np.full((judge.num_points, 2), np.nan))
    for time_s, rgb in read_frames(job["video"], job["seconds"]):
        seen = judge.look(rgb) or blank
        times.append(time_s)
        shapes.append(seen[0])
        points.append(seen[1])
    out = Path(job["out"])
    partial = out.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            time_s=np.array(times),
            names=np.array(judge.names),
            shapes=np.array(shapes, float).reshape(-1, len(judge.names)),
            points=np.array(points, np.float32).reshape(-1, judge.num_points, 2),
        )
    os.replace(partial, out)


def read_frames(video: str, seconds: float) -> Iterator[tuple[float, np.ndarray]]:
    """Yield time and RGB pixels of the frames before a moment."""
    capture = cv2.VideoCapture(video)
    first_s = None
    while True:
        found, frame = capture.read()
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        first_s = time_s if first_s is None else first_s
        if not found or time_s - first_s >= seconds - 1e-3:
            return
        yield time_s - first_s, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def distance(points: np.ndarray, a: int, b: int) -> float:
    """Distance of two points."""
    return float(np.linalg.norm(points[a] - points[b]))


if __name__ == "__main__":
    raise SystemExit(main())
