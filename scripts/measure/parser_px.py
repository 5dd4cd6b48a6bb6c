"""Measure how far ParseNet agrees with itself when it reads smaller faces, as --parser-px has it.

    python scripts/measure/parser_px.py PICTURE... --parsenet ParseNet-latest.pth --sides 256 384

Every picture's largest face is aligned as for the restorer and parsed at 512 px and at each side.
The table holds the share of pixels with the same label, and the intersection over union of what is
pasted back and of the mouth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retalking.script import run_entry_point

import numpy as np

from models import weights
from retalking.errors import FaceNotFoundError
from retalking.exit_code import report_mistakes
from retalking.face.affine import FFHQ_POINTS_512, fit_similarity
from retalking.face.crops import cut
from retalking.face.detection import CascadeDetector
from retalking.face.landmarks import LiteLandmarker
from retalking.ibug68 import five_points_by_corners
from retalking.media.images import load_image
from retalking.networks.calls import RESTORED_PX, parse_faces
from retalking.networks.runner import Runner, make_runner
from retalking.rendering.masks import FACE_PARTS, MOUTH_PARTS
from retalking.types import UInt8Array
from third_party.parsenet import ParseNet


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--parsenet", type=Path, required=True, help="weights")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 384])
    own = parser.parse_args(arguments)
    network = weights.load_any(own.parsenet, ParseNet, "ParseNet")
    runner = make_runner()
    runner.place(network)
    faces = np.stack([align_face(path) for path in own.pictures])
    print("| side (px) | same label | face | mouth |\n|---:|---:|---:|---:|")
    for side, values in agreement(runner, network, faces, own.sides).items():
        print(f"| {side} | {' | '.join(f'{value:.4f}' for value in values)} |")
    return 0


def align_face(path: Path) -> UInt8Array:
    """Cut the largest face out of a picture: uint8 ``[512, 512, 3]``.

    Raises:
        FaceNotFoundError: the picture shows none.
    """
    rgb, landmarker = load_image(path), LiteLandmarker.from_file()
    boxes = CascadeDetector(landmarker).detect(rgb)
    if not len(boxes):
        raise FaceNotFoundError(f"{path}: no face found")
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    points = landmarker.predict(rgb, boxes[[int(sizes.argmax())]])[0][0, :, :2]
    return cut(rgb, fit_similarity(five_points_by_corners(points), FFHQ_POINTS_512), RESTORED_PX)


def agreement(
    runner: Runner, network: ParseNet, faces: UInt8Array, sides_px: Sequence[int]
) -> dict[int, tuple[float, float, float]]:
    """Compare labels at smaller sides with those at 512 px.

    Returns:
        By side: share of pixels with the same label, and intersection over union of the parts that
        are pasted back and of the mouth.
    """
    wanted = parse_faces(runner, network, faces)
    found = {}
    for side in sides_px:
        labels = parse_faces(runner, network, faces, side)
        overlaps = (
            _overlap(np.isin(labels, parts), np.isin(wanted, parts))
            for parts in (FACE_PARTS, MOUTH_PARTS)
        )
        found[side] = (float((labels == wanted).mean()), *overlaps)
    return found  # type: ignore[return-value]


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(int((a | b).sum()), 1))


if __name__ == "__main__":
    run_entry_point(main)
