"""Configuration files: values, overrides, inheritance, and one clear line per fault."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from retalking.config import Schema, dump_config, flatten, load_config
from retalking.errors import ConfigError


class Loss(Schema):
    l1: float = Field(ge=0)
    sync: float = Field(ge=0)
    teacher: Literal["vgg19", "none"]


class Config(Schema):
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    loss: Loss
    extra: Loss | None


GOOD = """\
learning_rate: 1e-4
batch_size: 16
loss:
  l1: 1
  sync: 3e-1   # paper C.2.2
  teacher: vgg19
extra: null
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "lnet.yaml"
    file.write_text(GOOD)
    return file


def _fault(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(Config, path, overrides)
    return str(caught.value)


def test_values_are_typed_and_frozen(path: Path) -> None:
    config = load_config(Config, path)
    assert config.learning_rate == 1e-4
    assert config.loss.sync == 0.3
    with pytest.raises(ValidationError):
        config.batch_size = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("1E5", 1e5), ("-2.5e+3", -2500.0), (".5e1", 5.0), ("1.e2", 100.0)],
)
def test_every_spelling_of_a_float_is_a_number(path: Path, text: str, value: float) -> None:
    class One(Schema):
        value: float | str

    path.write_text(f"value: {text}\n")
    assert load_config(One, path).value == value
    assert load_config(One, path, [f"value={text}"]).value == value


def test_a_word_that_looks_like_a_number_stays_a_word(path: Path) -> None:
    class One(Schema):
        value: str

    path.write_text("value: 1e4f\n")
    assert load_config(One, path).value == "1e4f"


def test_overrides_win_and_nest(path: Path) -> None:
    config = load_config(Config, path, ["loss.sync=0", "batch_size=4", "loss.teacher=none"])
    assert (config.loss.sync, config.batch_size, config.loss.teacher) == (0, 4, "none")


def test_base_file_is_merged_and_faults_name_the_right_file(path: Path) -> None:
    variant = path.with_name("smoke.yaml")
    variant.write_text("base: lnet.yaml\nbatch_size: 2\nloss:\n  sync: 0\n")
    config = load_config(Config, variant)
    assert (config.batch_size, config.loss.sync, config.loss.l1) == (2, 0, 1)
    variant.write_text("base: lnet.yaml\nbatch_size: 0\n")
    assert "smoke.yaml:2: batch_size: got 0" in _fault(variant)
    path.write_text(GOOD.replace("16", "many"))
    variant.write_text("base: lnet.yaml\n")
    assert "lnet.yaml:2: batch_size: got 'many'" in _fault(variant)


def test_base_cycle_is_refused(path: Path) -> None:
    path.write_text("base: lnet.yaml\n")
    assert "includes itself" in _fault(path)


def test_dump_reads_back(path: Path, tmp_path: Path) -> None:
    config = load_config(Config, path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config))
    assert load_config(Config, copy) == config


def test_unknown_key_names_line_and_closest(path: Path) -> None:
    path.write_text(GOOD.replace("sync", "snyc"))
    fault = _fault(path)
    assert f"{path}:5: loss.snyc: unknown key; closest: loss.sync" in fault
    assert "loss.sync: missing" in fault
    assert len(fault.splitlines()) == 2


def test_unknown_key_without_a_neighbour_lists_the_valid_ones(path: Path) -> None:
    assert "valid here: loss.l1, loss.sync, loss.teacher" in _fault(path, "loss.qqqqqq=1")


def test_unknown_key_below_an_optional_section(path: Path) -> None:
    fault = _fault(path, "extra.l1=1", "extra.sync=0", "extra.teacher=none", "extra.l2=0")
    assert fault == "--set extra.l2=0: extra.l2: unknown key; closest: extra.l1"


def test_type_and_range_faults_are_one_line_each(path: Path) -> None:
    lines = _fault(path, "batch_size=1.5", "loss.l1=-1", "loss.teacher=resnet").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "--set batch_size=1.5",
        "--set loss.l1=-1",
        "--set loss.teacher=resnet",
    ]
    assert "'vgg19' or 'none'" in lines[2]


@pytest.mark.parametrize("override", ["batch_size", "=3", "loss..l1=3"])
def test_malformed_override(path: Path, override: str) -> None:
    assert f"--set {override}: expected KEY=VALUE" in _fault(path, override)


def test_override_with_bad_yaml(path: Path) -> None:
    assert "not valid YAML" in _fault(path, "batch_size=[1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1\nb: 2\n", ":2: not valid YAML"),
        (b"a: 1\na: 2\n", ":2: not valid YAML: key 'a' twice"),
        (b"- 1\n", "got a list, expected keys and values"),
        (b"\xff\xfe\x00", "not a UTF-8 text file"),
        (b"a: \x00", "not valid YAML"),
        (b"? [a, b]\n: 1\n", "not valid YAML"),
    ],
)
def test_bad_files(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    assert message in _fault(path)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("2020-99-99", "month must be in 1..12"),
        ("!!int foo", "invalid literal for int"),
        ("!!timestamp x", "not valid YAML"),
        ("!!python/object:os.system x", "could not determine a constructor"),
        ("[[[[", "not valid YAML"),
        ("[" * 3000, "nested too deeply, or in itself"),
        ("&a [*a]", "nested too deeply, or in itself"),
        ("&a {b: *a}", "nested too deeply, or in itself"),
        ("9" * 400, "a number of more than 18 digits"),
        ('"a\\0b"', "a NUL in a text"),
        ("9" * 5000, "not valid YAML"),
        ("1e400", "finite"),
        ("{[a]: b}", "unhashable key"),
        ("\x07", "special characters are not allowed"),
    ],
)
def test_hostile_values_are_one_short_line(path: Path, value: str, problem: str) -> None:
    for fault in (
        _fault(path, f"loss.l1={value}"),
        _fault_of_text(path, f"loss:\n  l1: {value}\n"),
    ):
        assert problem in fault
        assert "\n" not in fault
        assert len(fault) < 600


def test_keys_as_long_as_a_page_are_one_short_line(path: Path) -> None:
    for fault in (_fault(path, f"/{'x' * 5000}=1"), _fault_of_text(path, f"{'y' * 1000}: 1\n")):
        assert "unknown key" in fault
        assert len(fault) < 600


def test_aliases_of_aliases_do_not_exhaust_the_memory(path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, 12):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    assert "more than 10000 values" in _fault_of_text(path, "\n".join(lines))


def _fault_of_text(path: Path, text: str) -> str:
    hostile = path.with_name("hostile.yaml")
    hostile.write_text(f"base: {path.name}\n{text}")
    return _fault(hostile)


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    assert "cannot read the configuration: " in _fault(tmp_path / "loop.yaml")
    assert "File name too long" in _fault(tmp_path / ("n" * 300))


def test_missing_file(tmp_path: Path) -> None:
    assert "cannot read the configuration: No such file" in _fault(tmp_path / "none.yaml")


def test_flatten_joins_names() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": []}}, "e": {}}) == {"a.b": 1, "a.c.d": [], "e": {}}
