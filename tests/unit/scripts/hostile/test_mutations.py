"""Damage is damage, the same in every run, and leaves what it does not mean to touch."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from models import weights
from models.weight_files import is_safetensors
from scripts.measure.hostile.mutations import (
    change_value,
    damage,
    damage_png,
    damage_safetensors,
    damage_yaml,
)
from tests.unit.models.tiny_net import CONFIG, TinyNet

DATA = bytes(range(256)) * 40
ROUNDS = 200
Change = Callable[[bytes, random.Random], bytes]


def png() -> bytes:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".png", picture)[1])


def safetensors(folder: Path) -> bytes:
    weights.save(folder / "a.safetensors", TinyNet(CONFIG))
    return (folder / "a.safetensors").read_bytes()


def test_bytes_change_in_many_ways_and_the_same_ways_again() -> None:
    made = [damage(DATA, random.Random(seed)) for seed in range(ROUNDS)]
    assert made == [damage(DATA, random.Random(seed)) for seed in range(ROUNDS)]
    assert len(set(made)) > 0.9 * ROUNDS
    assert sum(data == DATA for data in made) < 0.05 * ROUNDS
    assert {len(data) > len(DATA) for data in made} == {True, False}
    assert max(map(len, made)) < 3 * len(DATA)


@pytest.mark.parametrize("data", [b"", b"\n", b"ab"])
def test_hardly_any_bytes_are_no_obstacle(data: bytes) -> None:
    for seed in range(ROUNDS):
        damage(data, random.Random(seed))


def test_chunks_of_pictures_keep_fitting_checksums() -> None:
    for seed in range(50):
        data, place, names = damage_png(png(), random.Random(seed)), 8, []
        while place < len(data):
            (length,) = struct.unpack_from(">I", data, place)
            named = data[place + 4 : place + 8 + length]
            names.append(named[:4])
            assert struct.unpack_from(">I", data, place + 8 + length)[0] == zlib.crc32(named)
            place += length + 12
        assert {b"IHDR", b"IDAT", b"IEND"} <= set(names)


def test_headers_of_weight_files_stay_headers(tmp_path: Path) -> None:
    healthy = safetensors(tmp_path)
    made = [damage_safetensors(healthy, random.Random(seed)) for seed in range(ROUNDS)]
    assert len(set(made)) > 0.5 * ROUNDS
    for data in made:
        length = int.from_bytes(data[:8], "little")
        json.loads(data[8 : 8 + length])
    (tmp_path / "b").write_bytes(made[0])
    assert is_safetensors(tmp_path / "b")


def test_values_change_at_any_depth() -> None:
    changed = []
    for seed in range(ROUNDS):
        tree = {"a": {"b": [1, 2, {"c": 3}]}, "d": 4}
        change_value(tree, random.Random(seed))
        changed.append(json.dumps(tree))
    assert len(set(changed)) > 20
    assert any('"c": 3' not in text and '"d": 4' in text for text in changed)


def test_yaml_is_damaged_and_sometimes_still_is_yaml() -> None:
    text = "a: 1\nb: [2, 3]\nc: text\n"
    valid = 0
    for seed in range(ROUNDS):
        try:
            yaml.safe_load(damage_yaml(text, random.Random(seed)))
            valid += 1
        except Exception:  # of every kind: that is what is looked for
            continue
    assert 0.1 * ROUNDS < valid < 0.9 * ROUNDS
