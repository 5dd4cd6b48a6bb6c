"""Golden numbers of the official code, and what counts as equal to them.

``tests/data/golden/NAME_seedS.npz`` stores outputs (strided, with the mean and deviation of the
whole) and the formula of every input; ``tests/data/manifests/NAME.json`` lists the keys of the
official checkpoint. A network test reads:

    for case in network_cases("ParseNet"):
        outputs = network(**case.tensors())
        assert_matches({"mask": outputs}, case)

and a function test ``case = function_case("fn_mel")``, ``assert_matches({...}, case)``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import formula
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).resolve().parents[1] / "data"
SEED = 101

MAX_DEVIATION = 1e-3
"""Largest difference, as a share of the golden output's standard deviation."""
STD_FLOOR = 1e-3
UINT8_MAX, UINT8_MEAN = 3, 0.2
"""8-bit levels: OpenCV's warps differ that much between versions."""
CLASS_SHARE = 0.002
"""Share of pixels whose class may differ."""
LABEL_LIMIT = 20
"""A uint8 golden whose values stay at or below this is a class map or a 0/1 mask."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Expected:
    """One golden output: the values at ``strides``, the full ``shape`` and its (mean, std)."""

    values: Array
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    mean: float | None
    std: float | None
    is_class_map: bool


@dataclass(frozen=True)
class Case:
    """Inputs and golden outputs of one run of a network or function.

    Attributes:
        name: ``NETWORK[case]`` or the function's name.
        inputs: arrays by name, in the official order.
        expected: golden outputs by name.
        primary: the output that must be compared; ``None`` means all.
        overrides: state-dict entries that this case sets to a constant.
        input_sha256, weights_abs_sum: fingerprints from the generating machine.
    """

    name: str
    inputs: dict[str, Array]
    expected: dict[str, Expected]
    primary: str | None = None
    overrides: dict[str, float] = field(default_factory=dict)
    input_sha256: dict[str, str] = field(default_factory=dict)
    weights_abs_sum: float | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the inputs as torch tensors on the CPU."""
        return {
            key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in self.inputs.items()
        }


def read_manifest(name: str) -> dict[str, Any]:
    """Read keys, shapes, wrapper and constants of an official checkpoint."""
    manifest: dict[str, Any] = json.loads((DATA / "manifests" / f"{name}.json").read_text())
    return manifest


def manifest_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Return every state-dict key of an official checkpoint with its shape."""
    return {key: tuple(shape) for key, shape, _, _ in read_manifest(name)["keys"]}


def filled_state_dict(
    name: str, seed: int = SEED, overrides: Mapping[str, float] | None = None
) -> dict[str, Tensor]:
    """Build the state dict of a network (no wrapper, no prefix) from the formula."""
    manifest = read_manifest(name)
    constants = manifest.get("const", {})
    blank: dict[str, Tensor] = {}
    for key, shape, dtype_name, _ in manifest["keys"]:
        dtype = getattr(torch, dtype_name)
        if key in constants:
            blank[key] = torch.tensor(constants[key], dtype=dtype).reshape(shape)
        else:
            blank[key] = torch.zeros(shape, dtype=dtype)
    state = formula.fill_state_dict(blank, seed)
    for key, value in (overrides or {}).items():
        state[key] = torch.full_like(state[key], value)
    return state


def official_checkpoint(
    name: str, seed: int = SEED, overrides: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Build the object that ``torch.load`` returns for the official file: wrapper and prefix."""
    manifest = read_manifest(name)
    state = filled_state_dict(name, seed, overrides)
    checkpoint: dict[str, Any] = {manifest["prefix"] + key: value for key, value in state.items()}
    for wrapper in reversed(manifest["wrapper"]):
        checkpoint = {wrapper: checkpoint}
    return checkpoint


def _generate_inputs(
    specs: Mapping[str, formula.Spec], seed: int, stored: Mapping[str, Array]
) -> dict[str, Array]:
    inputs = dict(stored)
    for key, spec in specs.items():
        inputs[key] = formula.generate(spec, seed, inputs)
    return inputs


def _read_expected(file: Any, outputs: Mapping[str, Any], values: str, stat: str) -> Any:
    expected: dict[str, Expected] = {}
    for key, info in outputs.items():
        array = file[values + key]
        mean, std = file[stat + key][:2].tolist() if stat + key in file.files else (None, None)
        is_labels = array.dtype == np.uint8 and array.size > 0 and array.max() <= LABEL_LIMIT
        expected[key] = Expected(
            values=array,
            shape=tuple(info["shape"]),
            strides=tuple(info["strides"]),
            mean=mean,
            std=std,
            is_class_map=key == "argmax" or bool(is_labels),
        )
    return expected


def network_cases(name: str, seed: int = SEED) -> list[Case]:
    """Read all golden cases of a network; the names are those of ``tests/data/manifests``."""
    with np.load(DATA / "golden" / f"{name}_seed{seed}.npz") as file:
        meta = json.loads(str(file["meta"]))
        return [
            Case(
                name=f"{name}[{case['case']}]",
                inputs=_generate_inputs(case["inputs"], seed, {}),
                expected=_read_expected(
                    file, case["outputs"], f"{case['case']}.", f"stat.{case['case']}."
                ),
                primary=case["primary"],
                overrides=case["overrides"],
                input_sha256=case["input_sha256"],
                weights_abs_sum=case["weights_abs_sum"],
            )
            for case in meta["cases"]
        ]


def function_case(name: str, seed: int = SEED) -> Case:
    """Read the golden case of a pipeline function, for example ``fn_mel``."""
    with np.load(DATA / "golden" / f"{name}_seed{seed}.npz") as file:
        meta = json.loads(str(file["meta"]))
        stored = {key[3:]: file[key] for key in file.files if key.startswith("in.")}
        return Case(
            name=name,
            inputs=_generate_inputs(meta["specs"], seed, stored),
            expected=_read_expected(file, meta["outputs"], "out.", "stat."),
        )


def digest(array: Array) -> str:
    """SHA-256 of an array's bytes, as stored with the golden inputs."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def find_mismatch(
    got: Array | Tensor, expected: Expected, tolerance: float = MAX_DEVIATION
) -> str | None:
    """Say how an output differs from its golden values, or return ``None`` where it matches."""
    array = got.detach().float().cpu().numpy() if isinstance(got, Tensor) else np.asarray(got)
    if array.shape != expected.shape:
        return f"shape {list(array.shape)}, expected {list(expected.shape)}"
    if array.ndim:
        array = array[tuple(slice(None, None, step) for step in expected.strides)]
    golden = expected.values
    if golden.size == 0:
        return None
    if not np.isfinite(array.astype(np.float64)).all():
        return "not finite"
    difference = np.abs(array.astype(np.float64) - golden.astype(np.float64))
    if expected.is_class_map:
        share = float((difference > 0).mean())
        return f"{100 * share:.3f} % other classes" if share > CLASS_SHARE else None
    if golden.dtype == np.uint8:
        close = difference.max() <= UINT8_MAX and difference.mean() <= UINT8_MEAN
        text = f"max {difference.max():.0f}, mean {difference.mean():.4f} levels"
        return None if close else text
    if golden.dtype.kind in "iu":
        return None if difference.max() == 0 else f"max difference {difference.max():g}"
    std = expected.std if expected.std is not None else float(golden.astype(np.float64).std())
    relative = float(difference.max()) / max(std, STD_FLOOR)
    return None if relative <= tolerance else f"max deviation / std {relative:.3e}"


def assert_matches(
    outputs: Mapping[str, Array | Tensor] | Array | Tensor,
    case: Case,
    tolerance: float = MAX_DEVIATION,
) -> None:
    """Compare outputs with the golden ones.

    Args:
        outputs: by golden name; a single array stands for the primary (or only) output.
        case: what they must equal. The primary output must be there; without one, all must.
        tolerance: for float outputs, as a share of their standard deviation.

    Raises:
        AssertionError: an output is unknown, absent or differs; all findings in one message.
    """
    if not isinstance(outputs, Mapping):
        outputs = {case.primary or next(iter(case.expected)): outputs}
    unknown = outputs.keys() - case.expected.keys()
    required = {case.primary} if case.primary else set(case.expected)
    findings = [f"{key}: not a golden output" for key in unknown]
    findings += [f"{key}: absent" for key in required - outputs.keys()]
    for key, expected in case.expected.items():
        mismatch = find_mismatch(outputs[key], expected, tolerance) if key in outputs else None
        if mismatch:
            findings.append(f"{key}: {mismatch}")
    assert not findings, f"{case.name}: " + "; ".join(findings)
