"""Damage of all kinds: to bytes, to the fields of PNG and safetensors files, to YAML."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

_HEAD_BYTES = 400
"""Where most formats keep the numbers that say how much follows."""
_SIGNATURE_BYTES = 8
_LONGEST_COPY = 4096
ODD_NUMBERS = (0, 1, -1, 2, 7, 127, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**12)
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS,
    0.5,
    -1e-9,
    1e308,
    int("9" * 400),
    "",
    "F16",
    "I16",
    "BOOL",
    "../../x",
    "\x1b[31mred",
    "a" * 5000,
    None,
    True,
    [],
    [[]],
    {},
    [2**62, 2**62],
    [-1, 3],
)
YAML_PIECES = (
    "!!int foo",
    "!!python/object/apply:os.getcwd []",
    "!!timestamp 2020-99-99",
    "2020-99-99",
    "[[[[",
    "[" * 3000,
    "{" * 40,
    "&a [*a]",
    "&b {<<: *b}",
    "*nowhere",
    "9" * 400,
    "1e999",
    "-.inf",
    ".nan",
    "0x" + "f" * 300,
    "1:99:99",
    "? [a, b]",
    "'",
    '"\\x00\\e[31m"',
    "%TAG ! tag:",
    "--- a",
    "\t- x",
    "~",
    "base: config.yaml",
    "base: /etc",
    "🙂: 1",
    "a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
    "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
    "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]",
)


def damage(data: bytes, chance: random.Random) -> bytes:
    """Change bytes in one to four places, near the beginning more often than elsewhere."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        chance.choice(_CHANGES)(changed, chance)
    return bytes(changed)


def damage_png(data: bytes, chance: random.Random) -> bytes:
    """Change a PNG file within one of its chunks, and let the chunk's checksum fit again."""
    chunks, place = [], _SIGNATURE_BYTES
    while place + 12 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += length + 12
    number = chance.choice((0, 0, chance.randrange(len(chunks))))
    name, content = chunks[number]
    chunks[number] = name, damage(content, chance)
    if chance.random() < 0.2:
        chunks.insert(chance.randrange(len(chunks)), chance.choice(chunks))
    return data[:_SIGNATURE_BYTES] + b"".join(
        struct.pack(">I", len(content)) + name + content + _crc(name + content)
        for name, content in chunks
    )


def _crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))


def damage_safetensors(data: bytes, chance: random.Random) -> bytes:
    """Change values in the header of a safetensors file, which still is one."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about = header["__metadata__"]
    if chance.random() < 0.5:
        config = json.loads(about["config"])
        change_value(config, chance)
        about["config"] = json.dumps(config)
        if chance.random() < 0.1:
            about["config"] = "[" * 10_000
    else:
        change_value(header, chance)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def change_value(tree: Any, chance: random.Random) -> None:
    """Replace, remove or rename something at any depth of parsed JSON."""
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))
    if not items:
        return
    key, value = chance.choice(items)
    if isinstance(value, dict | list) and value and chance.random() < 0.8:
        change_value(value, chance)
    elif chance.random() < 0.8:
        tree[key] = chance.choice(ODD_VALUES)
    elif isinstance(tree, dict) and chance.random() < 0.5:
        tree[f"{key}.x\x1b[0m"] = tree.pop(key)
    else:
        del tree[key]


def damage_yaml(text: str, chance: random.Random) -> bytes:
    """Put odd values into YAML, or damage its bytes."""
    lines = text.splitlines()
    for _ in range(chance.choice((1, 1, 3))):
        number = chance.randrange(len(lines))
        key, colon, _ = lines[number].partition(":")
        piece = chance.choice(YAML_PIECES)
        if colon and chance.random() < 0.6:
            lines[number] = f"{key}: {piece}"
        else:
            lines.insert(number, chance.choice((piece, f"{piece}: 1", f"- {piece}", lines[number])))
    content = "\n".join(lines).encode(chance.choice(("utf-8",) * 6 + ("utf-16",)))
    return damage(content, chance) if chance.random() < 0.3 else content


def _place(data: bytearray, chance: random.Random) -> int:
    ends = chance.random()
    if ends < 0.5:
        return chance.randrange(min(len(data), _HEAD_BYTES) or 1)
    if ends < 0.7:
        return max(len(data) - 1 - chance.randrange(_HEAD_BYTES), 0)
    return chance.randrange(len(data) or 1)


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[min(_place(data, chance), len(data) - 1)] ^= 1 << chance.randrange(8)


def _write_noise(data: bytearray, chance: random.Random) -> None:
    place = _place(data, chance)
    size = len(data[place : place + chance.randint(1, 64)])
    data[place : place + size] = chance.randbytes(size)


def _write_number(data: bytearray, chance: random.Random) -> None:
    place, size = _place(data, chance), chance.choice((1, 2, 4, 8))
    number = chance.choice(ODD_NUMBERS) % 256**size
    data[place : place + size] = number.to_bytes(size, chance.choice(("little", "big")))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _remove(data: bytearray, chance: random.Random) -> None:
    place = _place(data, chance)
    del data[place : place + chance.randint(1, _LONGEST_COPY)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    start, place = _place(data, chance), _place(data, chance)
    data[place:place] = data[start : start + chance.randint(1, _LONGEST_COPY)]


def _insert(data: bytearray, chance: random.Random) -> None:
    place = _place(data, chance)
    data[place:place] = chance.choice((b"\0", b"\xff", b"\n")) * chance.randint(1, 300)


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _write_noise,
    _write_number,
    _write_number,
    _cut,
    _remove,
    _repeat,
    _insert,
)
