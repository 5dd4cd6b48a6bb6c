"""Each trainer learns one batch by heart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.prepare.extend import estimate_lite_coefficients, extend_store
from datasets.prepare.manifest import ClipRow
from datasets.prepare.store import prepare_store
from datasets.store.format import COEFFICIENTS
from retalking.coefficients.basis import ExpressionBasis
from tests.e2e.conftest import Run
from tests.e2e.training.trainers import SIZE_PX, TRAINERS, records
from tests.stores import preparation

pytestmark = pytest.mark.usefixtures("one_thread")

EIGHT = ("loop.batch_size=8",)  # batch norm needs more than two
TELL_APART = ("contrast.opening_steps=0", "optimizer.learning_rate=3e-3", "model.base_channels=4")
REAL_CLIPS = ("lrs3_eVFYhbHpfqU_00007",)


def learn_one_batch(
    run: Run, name: str, folder: Path, *settings: str, **changes: Path
) -> list[dict[str, float]]:
    """Train on the first batch again and again; returns the metrics of each update."""
    module = TRAINERS[name][0]
    read = module.read_batches

    def read_same(*arguments: Any) -> Iterator[Any]:
        yield from itertools.repeat(next(read(*arguments)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "read_batches", read_same)
        cadence = ("loop.log_every=1", "loop.validate_every=1000", "loop.save_every=1000")
        assert run(name, folder, *cadence, *settings, **changes) == 0
    return records(folder, "train")


@pytest.mark.parametrize(
    ("name", "metric", "share", "settings"),
    [
        ("audio", "loss", 0.3, ("disturb={noise: 0, gain: 0, masked_bands: 0}", *EIGHT)),
        ("dnet", "l1", 0.5, ("warp_steps=0",)),
        ("enet", "l1", 0.5, ("loss.adversarial=0",)),
        ("lnet", "l1", 0.5, ()),
        ("syncnet", "loss", 0.5, (*TELL_APART, *EIGHT)),
        ("syncnet", "loss", 0.5, ("contrast=null", "model.base_channels=4", *EIGHT)),
    ],
)
def test_one_batch_is_learnt_by_heart(
    name: str, metric: str, share: float, settings: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    rate = ("loop.num_steps=40", "optimizer.learning_rate=1e-2")
    losses = [step[metric] for step in learn_one_batch(run, name, tmp_path, *rate, *settings)]
    assert np.mean(losses[-5:]) < share * losses[0]


@pytest.fixture(scope="module")
def real_store(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a real speaker, for training, and once more for the validation at the end."""
    folder = tmp_path_factory.mktemp("real") / "store"
    settings = preparation(lips_px=(SIZE_PX,), stabiliser_px=(SIZE_PX,), max_offset_s=0)
    rows = [
        ClipRow(f"{name} {split}", shared_dir / f"clips/train/{name}.mp4", name, split, "research")
        for name in REAL_CLIPS
        for split in ("train", "val")
    ]
    prepare_store(folder, rows, settings, 0)
    basis = ExpressionBasis.from_file()
    extend_store(folder, COEFFICIENTS, partial(estimate_lite_coefficients, basis=basis))
    return folder


REAL = [
    ("dnet", "l1", 0.3, ("warp_steps=0", "loop.batch_size=4")),
    (
        "enet",
        "l1",
        0.3,
        # Four channels of style do not hold four faces.
        ("loss.adversarial=0", "loop.batch_size=4", "model.encoder_channels=[16, 16]"),
    ),
    ("lnet", "l1", 0.3, ("loop.batch_size=4",)),
    ("syncnet", "loss", 0.3, (*TELL_APART, *EIGHT)),
    ("syncnet", "loss", 0.3, ("contrast=null", "model.base_channels=4", *EIGHT)),
]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(("name", "metric", "share", "settings"), REAL)
def test_one_batch_of_real_clips_is_learnt_by_heart(
    name: str,
    metric: str,
    share: float,
    settings: tuple[str, ...],
    run: Run,
    real_store: Path,
    tmp_path: Path,
) -> None:
    rate = ("loop.num_steps=80", "optimizer.learning_rate=3e-3")
    steps = learn_one_batch(run, name, tmp_path, *rate, *settings, data=real_store)
    losses = [step[metric] for step in steps]
    assert np.mean(losses[-5:]) < share * losses[0]
