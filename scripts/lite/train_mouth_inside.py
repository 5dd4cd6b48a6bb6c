"""Train the network that paints the inside of mouths.

    python -m scripts.lite.train_mouth_inside --manifest manifest.tsv --run-dir runs/inside

One clip of each person shows what lies between lips that are apart; what was read stays in the run
folder, so that a run that was interrupted goes on there. The network learns what all people have in
common, and by codes what tells them, and their moments, apart. Shipped is the code of one of those
mouths that resemble others, the one with the most contrast: a mean of mouths has no teeth.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from retalking.script import run_entry_point

import numpy as np
import torch
from torch import Tensor, nn

from models import weights
from models.mouth_inside import MouthInsideConfig, MouthInsideNet
from retalking.coefficients.basis import ExpressionBasis
from retalking.errors import ConfigError, RetalkingError
from retalking.exit_code import report_mistakes
from retalking.ibug68 import INNER_LIPS, OUTER_LIPS
from retalking.inference.pipeline import Retalker
from retalking.inference.profiles import load_profile
from retalking.mouth.warp.lip_measures import OPENING
from retalking.mouth.warp.lip_window import LipWindow, look_between
from retalking.mouth.warp.painting.painted_inside import describe_places, skin_color
from retalking.mouth.warp.speaker import Speaker, study_speaker
from retalking.rendering.scene import Scene
from retalking.types import Float64Array, FloatArray, IntArray, UInt8Array

_SECONDS, _FRAMES, _PIXELS = 8.0, 24, 900  # of a clip at most, and pixels of a frame
_LEAST_OPENING, _MOST_YAW_RAD, _LEAST_UNIT_PX = 0.06, 0.35, 38.0
_LEAST_FRAMES, _LEAST_PIXELS = 10, 30
_ROOM = 0.02  # in shape units: landmarks of lips err by so much
_STEPS, _BATCH, _RATE, _CODE_RATE = 4000, 4096, 2e-3, 1e-2
_WITHOUT_PERSON, _WITHOUT_MOMENT = 0.25, 0.6  # share of the pixels that are told without a code
_PERSON_COST, _MOMENT_COST, _CODE_SPREAD = 2e-3, 5e-3, 0.3
_ALIKE = 1 / 8  # of the people, of whom the one with the most contrast is shipped
_TRIED = 500  # pixels of a person


class Mouth(NamedTuple):
    """What the clip of a person shows between the lips, in ``N`` pixels of ``F`` frames.

    Attributes:
        places: float32 ``[N, 5]``, see ``MouthInsideNet.forward``.
        colors: float32 ``[N, 3]``, over the mean of the skin.
        frame: int64 ``[N]``.
        skin: float32 ``[F, 3]``, over its mean.
    """

    places: FloatArray
    colors: FloatArray
    frame: IntArray
    skin: FloatArray


def read_mouth(scene: Scene) -> Mouth | None:
    """Read what lies between the lips of a video, or ``None`` where little is seen."""
    analysis = scene.analysis
    speaker = study_speaker(analysis.track, ExpressionBasis.from_file(), scene.pads)
    fits = analysis.track.detected & (speaker.lips[:, OPENING] > _LEAST_OPENING)
    fits &= np.abs(speaker.head.angles[:, 1]) < _MOST_YAW_RAD
    fits &= speaker.head.pose.scale_px > _LEAST_UNIT_PX
    frames = np.flatnonzero(fits)
    if len(frames) < _LEAST_FRAMES:
        return None
    some = frames[np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES)).astype(int)]
    found = []
    for chunk in scene.source.read_frames(some, analysis.pts, 8):
        for row, picture in enumerate(chunk.rgb):
            found.append(_read_frame(picture, speaker, int(some[chunk.start + row])))
    seen = [each for each in found if each is not None]
    if not seen:
        return None
    places, colors, skin = zip(*seen, strict=True)
    number = np.repeat(np.arange(len(seen)), [len(each) for each in places])
    return Mouth(np.concatenate(places), np.concatenate(colors), number, np.stack(skin))


def _read_frame(
    picture: UInt8Array, speaker: Speaker, index: int
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Places, colours and skin of a frame, or ``None`` where hardly anything shows."""
    landmarks = speaker.landmarks_px[index, :, :2].astype(np.float64)
    unit = float(speaker.head.pose.scale_px[index])
    corner, end = _box(landmarks[OUTER_LIPS], 0.7 * unit, picture)
    part = picture[corner[1] : end[1], corner[0] : end[0]].astype(np.float32)
    skin = skin_color(part, landmarks - corner)
    corner, end = _box(landmarks[INNER_LIPS], 2.0, picture)
    x, y = np.meshgrid(np.arange(corner[0], end[0]), np.arange(corner[1], end[1]))
    window = LipWindow.of(landmarks)
    gap = look_between(window, x.astype(np.float64), y.astype(np.float64))
    where = gap.within > _ROOM * unit
    if where.sum() < _LEAST_PIXELS:
        return None
    opening = float(speaker.lips[index, OPENING])
    places = describe_places(gap, where, opening, window.length / unit, unit)
    light = max(float(skin.mean()), 1.0)
    colors = picture[y[where], x[where]].astype(np.float32) / np.float32(light)
    kept = np.random.default_rng(index).permutation(len(places))[:_PIXELS]
    return places[kept], colors[kept], (skin / light).astype(np.float32)


def _box(points: Float64Array, room: float, picture: UInt8Array) -> tuple[IntArray, IntArray]:
    size = np.array(picture.shape[1::-1])
    low = np.floor(points.min(axis=0) - room).clip(0, size - 1)
    high = np.ceil(points.max(axis=0) + room + 1).clip(1, size)
    return low.astype(np.int64), high.astype(np.int64)


def read_people(manifest: Path, folder: Path, split: str) -> list[Mouth]:
    """Read one clip of every person of a split; what the folder holds is not read again.

    Raises:
        ConfigError: nobody is seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == split]
    retalker = Retalker(load_profile("lite", {"max_seconds": _SECONDS}))
    mouths = []
    for row in {row["identity"]: row for row in reversed(rows)}.values():
        path = folder / (row["clip"].replace("/", "__") + ".npz")
        if not path.is_file():
            np.savez(path, **_read_clip(retalker, Path(row["media"])))
        with np.load(path) as stored:
            if stored.files:
                mouths.append(Mouth(**stored))
    if not mouths:
        raise ConfigError(f"{manifest}: no clip of the split {split} shows an open mouth")
    return mouths


def _read_clip(retalker: Retalker, path: Path) -> dict[str, Any]:
    try:
        with retalker.prepare(path) as scene:
            mouth = read_mouth(scene)
    except RetalkingError as error:
        print(f"left out: {error}")
        return {}
    print(f"{path.name}: {0 if mouth is None else len(mouth.skin)} frames", flush=True)
    return {} if mouth is None else mouth._asdict()


def train(
    mouths: Sequence[Mouth], config: MouthInsideConfig, steps: int = _STEPS
) -> MouthInsideNet:
    """Learn the mouths, with the code of the one that is shipped."""
    torch.manual_seed(0)
    network = MouthInsideNet(config).train()
    people = nn.Embedding(len(mouths), config.person_channels)
    first = np.cumsum([0, *(len(mouth.skin) for mouth in mouths)])
    moments = nn.Embedding(int(first[-1]), config.moment_channels)
    nn.init.normal_(people.weight, std=_CODE_SPREAD)
    nn.init.zeros_(moments.weight)
    places, colors = (_join([mouth[column] for mouth in mouths]) for column in (0, 1))
    skin = _join([mouth.skin[mouth.frame] for mouth in mouths])
    person = _join([np.full(len(mouth.frame), row) for row, mouth in enumerate(mouths)])
    moment = _join([mouth.frame + begin for mouth, begin in zip(mouths, first, strict=False)])
    share = np.concatenate([np.full(len(m.frame), 1 / len(m.frame)) for m in mouths])
    drawn = torch.from_numpy(share)  # every person as often as the next
    codes = [*people.parameters(), *moments.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": list(network.parameters()), "weight_decay": 1e-4},
            {"params": codes, "lr": _CODE_RATE, "weight_decay": 0.0},
        ],
        lr=_RATE,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        rows = torch.multinomial(drawn, _BATCH, replacement=True)
        chance = torch.rand(_BATCH, 1)
        own, now = people(person[rows]), moments(moment[rows])
        known = torch.cat([own * (chance > _WITHOUT_PERSON), now * (chance > _WITHOUT_MOMENT)], 1)
        error = (network(places[rows], skin[rows], known) - colors[rows]).abs().mean()
        cost = _PERSON_COST * own.square().mean() + _MOMENT_COST * now.square().mean()
        optimizer.zero_grad()
        (error + cost).backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(f"step {step + 1}/{steps}  error {error.item():.3f}", flush=True)
    network.eval()
    network.person.copy_(choose_person(network, people.weight.detach(), mouths))
    return network


@torch.no_grad()
def choose_person(network: MouthInsideNet, people: Tensor, mouths: Sequence[Mouth]) -> Tensor:
    """Choose among the codes ``[people, P]`` of those that resemble others the clearest one."""
    rng = np.random.default_rng(0)
    tried = [rng.permutation(len(mouth.frame))[:_TRIED] for mouth in mouths]
    views = [
        (m.places[k], m.skin[m.frame[k]], m.colors[k]) for m, k in zip(mouths, tried, strict=True)
    ]
    every = [tuple(torch.from_numpy(part) for part in view) for view in views]
    usual = people.new_zeros(network.config.moment_channels)
    errors, contrasts = [], []
    for code in people:
        whole = torch.cat([code, usual])
        made = [network(places, skin, whole.expand(len(places), -1)) for places, skin, _ in every]
        off = [(m - colors).abs().mean() for m, (_, _, colors) in zip(made, every, strict=True)]
        errors.append(float(torch.stack(off).median()))
        contrasts.append(float(torch.cat(made).mean(dim=1).std()))
    alike = np.argsort(errors)[: max(round(len(errors) * _ALIKE), 1)]
    return people[int(alike[np.array(contrasts)[alike].argmax()])]


def _join(parts: Sequence[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))


@report_mistakes()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, required=True, help="of scripts.lite.manifest")
    parser.add_argument("--run-dir", type=Path, required=True)
    args = parser.parse_args(arguments)
    mouths = read_people(args.manifest, args.run_dir / "mouths", "train")
    print(f"{len(mouths)} people, {sum(len(mouth.skin) for mouth in mouths)} frames")
    weights.save(args.run_dir / "weights-best.safetensors", train(mouths, MouthInsideConfig()))
    return 0


if __name__ == "__main__":
    run_entry_point(main)
