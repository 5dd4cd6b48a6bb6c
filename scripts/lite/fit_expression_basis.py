"""Fit the lite expression basis to the labels of scripts/lite/label_landmarks.py.

    python -m scripts.lite.fit_expression_basis --labels /tmp/labels \
        --manifest ../shared/clips/MANIFEST.tsv --out checkpoints/lite/expression_basis.safetensors

Training clips only. Deterministic: the same labels give the same file.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from retalking.script import run_entry_point

import numpy as np

from retalking.coefficients.basis import (
    EXPRESSION_BASIS_PATH,
    ExpressionBasis,
    fit_pose,
    lip_gap,
)
from retalking.errors import ConfigError
from retalking.ibug68 import CHIN_TIP, EYES, MIRRORED, MOUTH_CORNERS, STABLE
from retalking.types import Float64Array

SPLITS = ("train", "silent", "lrcar_train")
MIN_FRAMES = 8
MAX_FRAMES_PER_PERSON = 400
MAX_YAW_RAD = 0.6  # beyond, the teacher guesses the hidden half
NUM_IDENTITIES = 40
EXPLAINED = 0.985
MAX_EXPRESSIONS = 64
CLOSED_SHARE = 0.15
SMILING_SHARE = 0.05


def main() -> int:
    """Fit and write the basis; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True, help="names the person of a clip")
    parser.add_argument("--out", type=Path, default=EXPRESSION_BASIS_PATH)
    args = parser.parse_args()
    if not args.labels.is_dir() or not args.manifest.is_file():
        raise ConfigError(f"expected the folder {args.labels} and {args.manifest}")
    people = load_people(args.labels, args.manifest)
    basis = fit_basis(list(people.values()))
    basis.save(args.out)
    print(f"{len(people)} people, {sum(map(len, people.values()))} frames")
    print(f"{len(basis.expressions)} expressions, {len(basis.identities)} identities")
    for name, template in basis.templates.items():
        shape = basis.decode(template)
        right, left = shape[list(MOUTH_CORNERS), 0]
        width = left - right
        print(f"{name}: opening {lip_gap(shape):.3f}, mouth width {width:.3f}")
    return 0


def load_people(labels: Path, manifest: Path) -> dict[str, Float64Array]:
    """Return the points ``[N, 68, 3]`` of every person; one face per frame, the largest."""
    with manifest.open() as lines:
        names = {
            Path(row["file"]).stem: row["identity"] for row in csv.DictReader(lines, delimiter="\t")
        }
    clips: dict[str, list[np.ndarray]] = {}
    for path in sorted(path for split in SPLITS for path in (labels / split).glob("*.npz")):
        with np.load(path) as label:
            points, frames = label["points"].astype(np.float64), label["frame"]
        if len(points) < MIN_FRAMES:
            continue
        size = np.ptp(points[..., 1], axis=1)
        order = np.lexsort((-size, frames))
        _, first = np.unique(frames[order], return_index=True)
        clips.setdefault(person_of(path.stem, names), []).append(points[order[first]])
    rng = np.random.default_rng(0)
    people = {person: np.concatenate(parts) for person, parts in sorted(clips.items())}
    return {
        person: points[np.sort(rng.permutation(len(points))[:MAX_FRAMES_PER_PERSON])]
        for person, points in people.items()
    }


def person_of(clip: str, names: dict[str, str]) -> str:
    """Name the person of a clip; MEAD's files carry it, and EAMM's are all of one man."""
    if clip.startswith("mead_"):
        return "_".join(clip.split("_")[:2])
    if clip.startswith("eamm_"):
        return "eamm"
    return names.get(clip) or clip


def mirror(shapes: Float64Array) -> Float64Array:
    """Return the shapes ``[..., 68, 3]`` of the same faces in a mirror."""
    return shapes[..., list(MIRRORED), :] * (-1, 1, 1)


def fit_basis(people: list[Float64Array]) -> ExpressionBasis:
    """Alternate between posing all faces to the mean and averaging them, then analyse the rest.

    Args:
        people: landmarks in pixels ``[N, 68, 3]``, one array per person.
    """
    mean = normalise_mean(np.concatenate([points[:1] for points in people]).mean(axis=0))
    for _ in range(6):
        shapes = [pose_free(points, mean) for points in people]
        shapes = [faces for faces in shapes if len(faces) >= MIN_FRAMES]
        openings = [lip_gap(faces) for faces in shapes]
        opening = fit_opening(shapes, openings)
        neutral = np.stack(
            [
                faces.mean(axis=0) - opening * gaps.mean()
                for faces, gaps in zip(shapes, openings, strict=True)
            ]
        )
        mean = normalise_mean(neutral.mean(axis=0))
    identities = principal(np.concatenate([neutral, mirror(neutral)]) - mean)[:NUM_IDENTITIES]
    deviations = [faces - face for faces, face in zip(shapes, neutral, strict=True)]
    stacked = np.concatenate(deviations)
    expressions = principal(np.concatenate([stacked, mirror(stacked)]))
    share = np.cumsum((expressions**2).sum(axis=(1, 2)))
    count = 1 + int(np.searchsorted(share / share[-1], EXPLAINED))
    basis = ExpressionBasis(
        mean.astype(np.float32),
        opening.astype(np.float32),
        identities.astype(np.float32),
        expressions[: min(count, MAX_EXPRESSIONS)].astype(np.float32),
        {},
    )
    closed, smiling = pick_templates(deviations, openings)
    names = {"neutral": closed, "smile": smiling}
    templates = {name: basis.encode(shape[None])[0] for name, shape in names.items()}
    return replace(basis, templates=templates)


def pose_free(points: Float64Array, mean: Float64Array) -> Float64Array:
    """Return the shapes of those faces that look towards the camera."""
    pose = fit_pose(points, mean)
    return pose.normalise(points)[np.abs(pose.angles_rad[:, 1]) < MAX_YAW_RAD]


def normalise_mean(shape: Float64Array) -> Float64Array:
    """Make a shape symmetric, upright, centred on its stable points and of unit size."""
    shape = (shape + mirror(shape - shape.mean(axis=0)) + shape.mean(axis=0)) / 2
    shape = shape - shape[list(STABLE)].mean(axis=0)
    down = shape[CHIN_TIP] - shape[EYES].mean(axis=0)  # eyes to chin: vertical in the side view
    tilt = np.arctan2(down[2], down[1])
    cos, sin = np.cos(tilt), np.sin(tilt)
    shape = shape @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    size = np.sqrt((shape[list(STABLE)] ** 2).sum(axis=1).mean())
    return np.asarray(shape / size)


def fit_opening(shapes: list[Float64Array], openings: list[Float64Array]) -> Float64Array:
    """Return how shapes change ``[68, 3]`` per unit of lip opening, pooled within people."""
    moved, power = np.zeros((68, 3)), 0.0
    for faces, gaps in zip(shapes, openings, strict=True):
        centred = gaps - gaps.mean()
        moved += np.tensordot(centred, faces - faces.mean(axis=0), axes=1)
        power += float(centred @ centred)
    slope = moved / power
    return np.asarray((slope + mirror(slope)) / 2)


def principal(deviations: Float64Array) -> Float64Array:
    """Return principal components ``[K, 68, 3]`` about zero, times their standard deviation.

    Of the two possible signs, the one with a positive largest coordinate.
    """
    flat = deviations.reshape(len(deviations), -1)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    order = np.argsort(-values)
    scaled = vectors[:, order] * np.sqrt(np.maximum(values[order], 0))
    largest = np.abs(scaled).argmax(axis=0)
    scaled *= np.sign(scaled[largest, np.arange(scaled.shape[1])] + 1e-12)
    return scaled.T.reshape(-1, 68, 3)


def pick_templates(
    deviations: list[Float64Array], openings: list[Float64Array]
) -> tuple[Float64Array, Float64Array]:
    """Return the deviations ``[68, 3]`` of a closed, relaxed mouth and of a smile.

    Closed: everybody's frames with the least opening. Smile: of the frames with less open lips,
    those with the widest mouth and highest corners, of the people who smile most.
    """
    closed, smiles, strengths = [], [], []
    for faces, gaps in zip(deviations, openings, strict=True):
        few = max(1, round(CLOSED_SHARE * len(gaps)))
        closed.append(faces[np.argsort(gaps)[:few]].mean(axis=0))
        right, left = (faces[:, corner] for corner in MOUTH_CORNERS)
        width = left[:, 0] - right[:, 0]
        lift = -(right[:, 1] + left[:, 1]) / 2
        strength = width + lift
        strength[gaps > np.median(gaps)] = -np.inf
        few = max(1, round(SMILING_SHARE * len(gaps)))
        best = np.argsort(-strength)[:few]
        smiles.append(faces[best].mean(axis=0))
        strengths.append(strength[best].mean())
    smilers = np.argsort(strengths)[-max(1, len(strengths) // 10) :]
    neutral = np.mean(closed, axis=0)
    smile = np.mean([smiles[person] for person in smilers], axis=0)
    return (neutral + mirror(neutral)) / 2, (smile + mirror(smile)) / 2


if __name__ == "__main__":
    run_entry_point(main)
