"""What is done with damaged files and odd options, in this process, and what counts as a fault."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import random
import re
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import weights
from models.dnet import DNet
from retalking.arrays.sealed import SUFFIX, read_arrays, write_arrays
from retalking.exit_code import EXIT_ERROR, EXIT_OK, report_mistakes
from retalking.inference.cli import build_parser, main
from retalking.locations import CONFIGS
from retalking.rendering.finished_frames import FinishedFrames
from retalking.terminal import log_to_terminal
from scripts.measure.hostile.ground import Ground
from scripts.measure.hostile.mutations import (
    ODD_VALUES,
    YAML_PIECES,
    damage,
    damage_png,
    damage_safetensors,
    damage_yaml,
)

_LONGEST_LINE = 1000
_BAR = "%|"
"""What progress bars have in them."""
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def run_case(ground: Ground, seed: int, number: int) -> tuple[str, str]:
    """Run one case; the same numbers make the same case.

    Returns:
        Its kind, and its fault or nothing.
    """
    chance = random.Random(f"{seed}/{number}")
    kind = _KINDS[number % len(_KINDS)]
    ground.clear()
    text = io.StringIO()
    threading.excepthook = lambda told: text.write(f"Traceback of a thread: {told.exc_value!r}\n")
    try:
        with (
            contextlib.redirect_stderr(text),
            contextlib.redirect_stdout(io.StringIO()),
            _logging(),
        ):
            code = report_mistakes()(functools.partial(_CASES[kind], ground, chance))()
    except SystemExit as error:  # of argparse, after its usage
        return kind, "" if error.code in (EXIT_OK, EXIT_ERROR) else f"exit code {error.code}"
    except BaseException:
        return kind, traceback.format_exc()
    return kind, find_fault(code, text.getvalue(), ground.outfile().parent, kind in _OF_CONFIG)


def find_fault(code: int, errors: str, out: Path, of_config: bool = False) -> str:
    """Return what is wrong with how a run ended, or nothing.

    Args:
        code: exit code.
        errors: what was written to standard error.
        out: folder that may hold the result and nothing else.
        of_config: each of several wrong values may have its line.
    """
    left = sorted(path.name for path in out.iterdir())
    lines = [line for line in errors.splitlines() if line and _BAR not in line]
    said = [line for line in lines if not line.startswith("WARNING: ")]
    if "Traceback" in errors:
        return errors
    if code not in (EXIT_OK, EXIT_ERROR):
        return f"exit code {code}: {errors}"
    if code == EXIT_OK and said:
        return f"success, but: {errors}"
    if code == EXIT_ERROR and not (said and said[0].startswith("error: ")):
        return f"no line says what is wrong: {errors!r}"
    if code == EXIT_ERROR and left:
        return f"left over: {left}"
    if code == EXIT_ERROR and len(said) > 1 and not of_config:
        return f"more than a line: {errors}"
    if _CONTROL.search("".join(said)) or max(map(len, said), default=0) > _LONGEST_LINE:
        return f"not a line for a terminal: {errors[:_LONGEST_LINE]!r}"
    return ""


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Log as the program does, to what is standard error now."""
    root = logging.getLogger()
    before = root.handlers[:]
    log_to_terminal(logging.WARNING)
    try:
        yield
    finally:
        root.handlers[:] = before


def _dub_face(name: str, ground: Ground, chance: random.Random) -> None:
    change = damage_png if name.endswith(".png") and chance.random() < 0.7 else damage
    face = ground.write(name, change((ground.seeds / name).read_bytes(), chance))
    ground.retalker(face, ground.seeds / "speech.wav", ground.outfile())


def _dub_speech(name: str, ground: Ground, chance: random.Random) -> None:
    speech = ground.write(name, damage((ground.seeds / name).read_bytes(), chance))
    outfile = ground.outfile(chance.choice((".mp4", ".mkv", ".avi", ".mov")))
    ground.retalker.dub(ground.dub.scene, speech, outfile)


def _load_weights(name: str, ground: Ground, chance: random.Random) -> None:
    change = damage if name.endswith(".pt") or chance.random() < 0.3 else damage_safetensors
    path = ground.write(name, change((ground.seeds / name).read_bytes(), chance))
    weights.load_any(path, DNet, "DNet")


def _reuse_analysis(ground: Ground, chance: random.Random) -> None:
    cache = ground.case / "cache"
    shutil.copytree(ground.analysis, cache)
    _damage_arrays(chance.choice(sorted(cache.glob(f"*{SUFFIX}"))), chance)
    clip, speech = ground.seeds / "talk.mp4", ground.seeds / "speech.wav"
    ground.retalker(clip, speech, ground.outfile())


def _reuse_frames(ground: Ground, chance: random.Random) -> None:
    frames = ground.case / "frames"
    shutil.copytree(ground.frames, frames)
    _damage_arrays(chance.choice(sorted(frames.iterdir())), chance)
    for _ in ground.retalker.render(ground.dub, kept=FinishedFrames(frames)):
        pass


def _damage_arrays(path: Path, chance: random.Random) -> None:
    """Damage a file of arrays, or put another array in and let the seal fit."""
    if chance.random() < 0.5:
        path.write_bytes(damage(path.read_bytes(), chance))
        return
    arrays = read_arrays(path)
    name = chance.choice(sorted(arrays))
    values = arrays.pop(name)
    changes: tuple[NDArray[Any] | None, ...] = (
        None,
        values[:-1],
        np.concatenate([values, values]),
        values.ravel(),
        values[None],
        values.astype(np.float64) * np.nan,
        values.astype(np.complex64),
        np.array("text"),
    )
    changed = chance.choice(changes)
    write_arrays(path, arrays if changed is None else {**arrays, name: changed})


def _read_config(ground: Ground, chance: random.Random) -> int:
    for source in CONFIGS.joinpath("inference").glob("*.yaml"):
        shutil.copy(source, ground.case)
    path = ground.write(
        "config.yaml",
        damage_yaml(
            (CONFIGS / "inference" / f"{chance.choice(_PROFILES)}.yaml").read_text("utf-8"), chance
        ),
    )
    job = ["--face", "a.mp4", "--audio", "b.wav", "--dry-run", "--config", str(path)]
    return main([*job, *(["--set", f"fps={_odd(chance)}"] if chance.random() < 0.2 else [])])


def _read_command_line(ground: Ground, chance: random.Random) -> int:
    flags = sorted(build_parser()._option_string_actions)  # argparse has no public list of them
    words = ["--face", str(ground.seeds / "talk.mp4"), "--audio", str(ground.seeds / "speech.wav")]
    words += ["--outfile", str(ground.outfile()), "--profile", "lite", "--max-seconds", "0.04"]
    words += ["--tmp-dir", str(ground.case / "cache")]
    for _ in range(chance.randint(1, 3)):
        flag = chance.choice([flag for flag in flags if flag not in ("--verbose",)])
        words += [flag, *(_odd(chance) for _ in range(chance.choice((0, 1, 1, 1, 4))))]
    if chance.random() < 0.3:
        words[chance.randrange(1, len(words))] = _odd(chance)
    if chance.random() < 0.3:
        words += ["--set", f"{_odd(chance)}={_odd(chance)}"]
    if chance.random() < 0.5:
        words.append("--dry-run")
    return main(words)


def _odd(chance: random.Random) -> str:
    return chance.choice(
        (
            *map(str, ODD_VALUES),
            *YAML_PIECES,
            "/dev/null",
            "/root/x/../..",
            "/" + "x" * 300,
            "a\0b",
            "\udcff",
            "~",
            "auto",
            "1e-9",
            "1e308",
            "-0",
            "NaN",
        )
    )


_OF_CONFIG = ("config", "command line")
_PROFILES = ("lite", "small", "official")
Case = Callable[[Ground, random.Random], int | None]
_CASES: dict[str, Case] = {
    **{name: functools.partial(_dub_face, name) for name in ("talk.mp4", "talk.webm", "face.png")},
    **{name: functools.partial(_dub_speech, name) for name in ("speech.wav", "speech.flac")},
    **{name: functools.partial(_load_weights, name) for name in ("dnet.safetensors", "dnet.pt")},
    "kept analysis": _reuse_analysis,
    "kept frames": _reuse_frames,
    "config": _read_config,
    "command line": _read_command_line,
}
_KINDS = tuple(_CASES)
