"""Stores whose faces the official analysis finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.prepare import clip as preparation
from datasets.prepare.clip import ClipPreparer
from datasets.prepare.store import prepare_store
from retalking.errors import WeightsError
from retalking.networks.load import load_face_analysis
from tests.unit.datasets.prepare.walking_faces import SETTINGS, row_of

OFFICIAL = SETTINGS.model_copy(update={"face_analysis": "official"})


def test_the_official_finder_is_asked_for_faces(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are not here: the lite one stands in, and is told what was wanted."""
    asked: list[str] = []

    def load(kind: str, *places: object) -> object:
        asked.append(kind)
        return load_face_analysis("lite", *places)  # type: ignore[arg-type]

    monkeypatch.setattr(preparation, "load_face_analysis", load)
    (clip,) = ClipPreparer(OFFICIAL).prepare(row_of(media, "talk"))
    assert asked == ["official"]
    assert len(clip.parts["tracks"]["landmarks_px"]) == 12


def test_missing_weights_are_one_line(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "CHECKPOINTS", tmp_path)
    with pytest.raises(WeightsError, match="download_checkpoints"):
        prepare_store(tmp_path / "store", [row_of(media, "talk")], OFFICIAL, 0)
