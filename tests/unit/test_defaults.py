"""Values that a user may choose live in YAML, once."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import datasets
import retalking
from retalking.config import Schema
from retalking.locations import REPOSITORY


def schemas(parent: type[Schema] = Schema) -> Iterator[type[Schema]]:
    for child in parent.__subclasses__():
        yield child
        yield from schemas(child)


def load_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


@pytest.fixture(scope="module", autouse=True)
def _everything_is_imported() -> None:
    load_all(datasets)
    load_all(retalking)
    for path in REPOSITORY.glob("train_*.py"):
        importlib.import_module(path.stem)


def test_no_schema_repeats_a_value_of_a_configuration_file() -> None:
    ours = {"datasets", "retalking", *(path.stem for path in REPOSITORY.glob("train_*.py"))}
    found = [schema for schema in schemas() if schema.__module__.split(".")[0] in ours]
    assert len(found) > 15
    wrong = [
        f"{schema.__module__}.{schema.__name__}.{name}"
        for schema in found
        for name, value in schema.model_fields.items()
        if not value.is_required()
    ]
    assert wrong == []
