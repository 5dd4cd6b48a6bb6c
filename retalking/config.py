"""Load a YAML file into a typed, frozen configuration, and say precisely what is wrong with it.

Values live in YAML, but for those of a few settings that recipes may leave out; types and ranges
live in the schema. A file may begin with ``base: other.yaml`` (relative to itself) and then lists
only what differs from that file.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retalking.errors import ConfigError

Fraction01 = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=0, le=100_000)]
FourPixels = tuple[Pixels, Pixels, Pixels, Pixels]
Border = Annotated[int, Field(ge=-1, le=100_000)]
"""A position in pixels; -1 stands for the far border, or for none."""
FourBorders = tuple[Border, Border, Border, Border]
Key = tuple[str, ...]
"""A nested key, ``("loss", "sync")`` for ``loss.sync``."""


class Schema(BaseModel):
    """Base of every configuration schema: unknown keys refused, values frozen, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Section(Schema):
    """Options that one part of a program reads; its schema stands beside that part.

    A flat configuration inherits from several sections: it is passed wherever one of them is asked
    for, so nobody copies a value by hand.

    Attributes:
        TITLE: heading of its flags on the command line.
    """

    TITLE: ClassVar[str]


AnySchema = TypeVar("AnySchema", bound=BaseModel)


def option(text: str, *aliases: str, letters: str | None = None) -> Any:
    """Return a required field of a section.

    Args:
        text: what the flag's help says.
        aliases: further names of the flag, such as upstream's.
        letters: what the values of a tuple are, for the help.
    """
    return Field(
        ..., description=text, json_schema_extra={"aliases": [*aliases], "letters": letters}
    )


def sections_of(schema: type[BaseModel]) -> list[type[Section]]:
    """Return the sections that a schema is the sum of, in the order of their fields."""
    found: list[type[Section]] = []
    for base in reversed(schema.__bases__):  # as pydantic collects fields
        if issubclass(base, Section) and "TITLE" in vars(base):
            found.append(base)
        elif issubclass(base, BaseModel):
            found += sections_of(base)
    return list(dict.fromkeys(found))


def section_values(config: BaseModel, sections: Iterable[type[Section]]) -> dict[str, Any]:
    """Return the values of some sections as JSON knows them, for the key of a cache."""
    names = {name for section in sections for name in section.model_fields}
    return config.model_dump(mode="json", include=names)


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads ``1e-4`` as a number; refuses keys given twice and endless numbers."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"key {key.value!r} twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if abs(number) >= 2**63:
            problem = "a number of more than 18 digits"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return number

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        text = str(super().construct_yaml_str(node))
        if "\0" in text:  # the system's functions for paths raise ValueError
            raise yaml.MarkedYAMLError(problem="a NUL in a text", problem_mark=node.start_mark)
        return text


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_yaml_str)

# YAML 1.1 wants a dot and a signed exponent in a float, so PyYAML leaves "1e-4" a string.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


_MOST_NODES = 10_000
"""Values in a configuration: beyond it, aliases of aliases are meant to exhaust the memory."""


def load_config(schema: type[AnySchema], path: Path, overrides: Sequence[str] = ()) -> AnySchema:
    """Read, override and validate a configuration.

    Args:
        schema: pydantic model with ``extra="forbid"``, normally a ``Schema``.
        path: YAML file.
        overrides: ``a.b=value`` entries of ``--set``; the value is read as YAML.

    Raises:
        ConfigError: one line per fault, each with file and line (or the override), the key, what
            was got and expected, and for an unknown key the closest valid ones.
    """
    origins: dict[Key, str] = {}
    values = _read(Path(path), origins, ())
    for override in overrides:
        _override(values, override, origins)
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = [_explain(schema, dict(fault), origins, Path(path)) for fault in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def dump_config(config: BaseModel) -> str:
    """Return the configuration as YAML that ``load_config`` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _read(path: Path, origins: dict[Key, str], including: tuple[Path, ...]) -> dict[str, Any]:
    try:
        resolved = path.resolve()
        text = path.read_text(encoding="utf-8")
    except (OSError, RuntimeError) as error:  # the latter for links in a circle, before 3.13
        reason = getattr(error, "strerror", None) or "links in a circle"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a UTF-8 text file") from None
    if resolved in including:
        raise ConfigError(f"{path}: includes itself through 'base'")
    root, values = _parse(text, str(path))
    values = {} if root is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: got a {type(values).__name__}, expected keys and values")
    base = values.pop("base", None)
    inherited: dict[str, Any] = {}
    if base is not None:
        inherited = _read(path.parent / str(base), origins, (*including, resolved))
    origins.update((key, f"{path}:{line}") for key, line in _key_lines(root))
    return _merge(inherited, values)


def _parse(text: str, where: str) -> tuple[yaml.Node | None, Any]:
    """Return the tree and the values of YAML.

    Raises:
        ConfigError: it is not valid, or is made to exhaust the memory.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None and _count_nodes(root, {}) > _MOST_NODES:
            raise ConfigError(f"{where}: more than {_MOST_NODES} values, aliases counted")
        return root, None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark and "\n" in text else ""
        raise ConfigError(f"{where}{line}: not valid YAML: {error.problem}") from None
    except RecursionError:
        raise ConfigError(f"{where}: not valid YAML: nested too deeply, or in itself") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:  # of a value's type
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from None


def _count_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the nodes that a tree has once its aliases are written out."""
    if id(node) not in known:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_count_nodes(child, known) for child in children)
    return known[id(node)]


def _key_lines(node: yaml.Node | None, parent: Key = ()) -> Iterable[tuple[Key, int]]:
    """Yield every key of a YAML tree with its line, counted from one."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # the schema knows no such key, and says so
            yield (*parent, key.value), key.start_mark.line + 1
            yield from _key_lines(value, (*parent, key.value))


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merge(merged[name], value) if nested else value
    return merged


def _override(values: dict[str, Any], override: str, origins: dict[Key, str]) -> None:
    name, equals, text = override.partition("=")
    key = tuple(name.strip().split("."))
    if not equals or not all(key):
        raise ConfigError(f"--set {override}: expected KEY=VALUE, such as loop.seed=1")
    _, value = _parse(text, f"--set {shorten(override)}")
    target = values
    for part in key[:-1]:
        if not isinstance(target.get(part), dict):
            target[part] = {}
        target = target[part]
    target[key[-1]] = value
    origins[key] = f"--set {shorten(override)}"


def _explain(
    schema: type[BaseModel], fault: dict[str, Any], origins: dict[Key, str], path: Path
) -> str:
    """Put one pydantic fault into one line."""
    key = tuple(str(part) for part in fault["loc"])
    known = next((key[:n] for n in range(len(key), 0, -1) if key[:n] in origins), ())
    where = origins.get(known, str(path))
    name = shorten(".".join(key) or "the whole file")
    if fault["type"] == "extra_forbidden":
        helps = f"; {_closest(schema, key)}" if len(name) < 100 else ""  # no typing error
        return f"{where}: {name}: unknown key{helps}"
    if fault["type"] == "missing":
        return f"{where}: {name}: missing; add it to {path} or pass --set {name}=VALUE"
    return f"{where}: {name}: got {shorten(repr(fault['input']))}; {fault['msg']}"


def shorten(text: str) -> str:
    """Return a text that fits into a line: the middle of a long one goes."""
    return text if len(text) <= 200 else f"{text[:120]} ... {text[-60:]}"


def _closest(schema: type[BaseModel], key: Key) -> str:
    fields = sorted(_section(schema, key[:-1]))
    close = difflib.get_close_matches(key[-1], fields, n=3, cutoff=0.5)
    parent = ".".join(key[:-1])
    listed = ", ".join(f"{parent}.{field}" if parent else field for field in close or fields)
    return f"closest: {listed}" if close else f"valid here: {listed or 'nothing'}"


def _section(schema: type[BaseModel], key: Key) -> Iterable[str]:
    """Return the field names that are valid under ``key``."""
    current: type[BaseModel] | None = schema
    for part in key:
        field = current.model_fields.get(part) if current else None
        current = _model_in(field.annotation) if field else None
    return current.model_fields if current else ()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model behind ``Model``, ``Model | None`` or ``Annotated[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        found = (_model_in(argument) for argument in typing.get_args(annotation))
        return next((model for model in found if model), None)
    return None
