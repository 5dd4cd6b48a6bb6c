"""Strict loading of weight files: the official checkpoints and our own safetensors.

An official file wraps its state dict in its own way; ``OFFICIAL_FORMATS`` says how, network by
network. Our own files are safetensors whose metadata carries the class name and the model config
as JSON, so that a file alone rebuilds its network. Every tensor of the network must be in the
file, with its shape, and nothing else may be there; what is let go is listed in the format.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from models.weight_checks import (
    Kind,
    check_finite,
    check_fit,
    check_sizes,
    read_header,
    shorten,
)
from models.weight_files import is_safetensors, read_metadata, read_torch_file
from retalking.errors import ConfigError, MediaError, WeightsError
from retalking.files import check_listed_hash, replacing, update_listed_hash

Network = TypeVar("Network", bound=nn.Module)
Source = str | Path | Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class OfficialFormat:
    """How an official file holds the state dict of a network.

    Attributes:
        entries: top-level entries to look for, in this order; ``""`` means the file itself.
        removed_everywhere: text deleted wherever it occurs in a key.
        removed_prefix: text deleted at the start of a key.
        skipped_substring: keys that contain it belong to another file and are left out.
        dropped_suffixes: keys with such an ending are dropped where the network has no such key.
        dropped_entries: entries that are no weights at all.
    """

    entries: tuple[str, ...] = ("",)
    removed_everywhere: str = ""
    removed_prefix: str = ""
    skipped_substring: str = ""
    dropped_suffixes: tuple[str, ...] = ()
    dropped_entries: tuple[str, ...] = ()


_LIPS = OfficialFormat(
    entries=("state_dict",), removed_everywhere="module.", skipped_substring="low_res"
)
_PLAIN = OfficialFormat()

OFFICIAL_FORMATS: Mapping[str, OfficialFormat] = types.MappingProxyType(
    {
        "DNet": OfficialFormat(entries=("net_G_ema",)),
        "LNet": _LIPS,
        "ENet": _LIPS,
        "face3d": OfficialFormat(entries=("net_recon",)),
        "GFPGAN": OfficialFormat(entries=("params_ema", "params")),
        "GPEN": _PLAIN,
        "ParseNet": _PLAIN,
        "RetinaFace": OfficialFormat(entries=("state_dict", ""), removed_prefix="module."),
        # Saved by a PyTorch whose instance norms kept statistics that they never used.
        "GANimation": OfficialFormat(
            dropped_suffixes=(".running_mean", ".running_var", ".num_batches_tracked"),
            dropped_entries=("_metadata",),
        ),
        "S3FD": _PLAIN,
        "ArcFace": _PLAIN,
        "lipsync_expert": OfficialFormat(entries=("state_dict",), removed_prefix="module."),
        "syncnet_v2": _PLAIN,
        "inception": _PLAIN,
    }
)


def load_official(
    network: nn.Module, name: str, source: Source, lnet_source: Source | None = None
) -> None:
    """Copy the weights of an official checkpoint into a network.

    Args:
        network: receives the weights; its device and dtype stay.
        name: a key of ``OFFICIAL_FORMATS``.
        source: the file, or the object that ``torch.load`` returns for it.
        lnet_source: for ``ENet`` only, and needed there: the L-Net that it owns as ``low_res``
            comes from LNet.pth or from a file of ``save``. Copies of it in ENet.pth are ignored, as
            upstream does.

    Raises:
        WeightsError: the file is missing, damaged or does not fit; the network is unchanged
            (of ENet, its L-Net may already be loaded).
    """
    official = OFFICIAL_FORMATS[name]
    if (name == "ENet") != (lnet_source is not None):
        raise WeightsError(
            "ENet needs both ENet.pth and LNet.pth: pass the L-Net as lnet_source"
            if name == "ENet"
            else f"{name} takes one file; lnet_source is for ENet only"
        )
    if lnet_source is not None:
        _load_lnet(network.get_submodule("low_res"), lnet_source)
    origin = name + " checkpoint" if isinstance(source, Mapping) else str(source)
    checkpoint = source if isinstance(source, Mapping) else read_torch_file(source)

    expected = network.state_dict()
    if official.skipped_substring:
        expected = {k: v for k, v in expected.items() if official.skipped_substring not in k}
    state: dict[str, Any] = {}
    for raw_key, value in _find_state_dict(checkpoint, official, origin).items():
        key = raw_key.replace(official.removed_everywhere, "").removeprefix(official.removed_prefix)
        skipped = official.skipped_substring and official.skipped_substring in raw_key
        unused = key not in expected and key.endswith(official.dropped_suffixes)
        if not skipped and not unused and key not in official.dropped_entries:
            state[key] = value
    for key, value in expected.items():
        # Files older than PyTorch 0.4.1 lack this counter, which evaluation never reads.
        if key.endswith(".num_batches_tracked"):
            state.setdefault(key, value)
    _copy_into(network, expected, state, origin)


def _load_lnet(low_res: nn.Module, source: Source) -> None:
    if isinstance(source, Mapping) or not is_safetensors(source):
        load_official(low_res, "LNet", source)
        return
    state = load(source, type(low_res)).state_dict()
    _copy_into(low_res, low_res.state_dict(), state, str(source))


def save(
    path: str | Path,
    network: nn.Module,
    extra_metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a network as safetensors with what is needed to rebuild it.

    Args:
        path: written under a temporary name beside it, then renamed.
        network: has its frozen dataclass config at ``network.config``.
        extra_metadata: notes to keep in the file (step, recipe ...).
        dtype: storage type of floating-point tensors, e.g. ``torch.float16``; theirs if ``None``.

    Raises:
        WeightsError: a value is not finite in ``dtype``, or the file cannot be written.
    """
    path = Path(path)
    tensors = {}
    for key, value in network.state_dict().items():
        stored = value.detach().to("cpu", dtype if value.is_floating_point() else None)
        tensors[key] = stored.contiguous()
    check_finite(tensors, f"{path} not written")
    metadata = {
        **(extra_metadata or {}),
        "class": type(network).__name__,
        "config": json.dumps(dataclasses.asdict(typing.cast(Any, network.config))),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            safetensors.torch.save_file(tensors, part, metadata)
        update_listed_hash(path)
    except (OSError, MediaError, safetensors.SafetensorError) as error:
        raise WeightsError(f"cannot write {path}: {error}") from None


def load(path: str | Path, expected_class: type[Network]) -> Network:
    """Rebuild a network that ``save`` wrote; on the CPU, in float32, in evaluation mode.

    Raises:
        WeightsError: the file is missing, damaged, holds another class or does not fit, or is not
            what the list of hashes beside it says.
    """
    path = Path(path)
    metadata = read_metadata(path)
    check_listed_hash(path)
    if metadata.get("class") != expected_class.__name__:
        raise WeightsError(
            f"{path}: expected weights of {expected_class.__name__}, "
            f"got {metadata.get('class', 'a file without a class name')}"
        )
    try:
        values = json.loads(metadata["config"])
        check_sizes(values)
        config = _from_json(_config_class(expected_class), values)
        with torch.device("meta"):  # shapes without values: a wrong config takes no memory
            check_fit(expected_class(config).state_dict(), read_header(path), path)
        network = expected_class(config)
    except WeightsError:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, ConfigError) as error:
        fault = " ".join(str(error).split())
        raise WeightsError(f"{path}: its model config does not fit: {fault:.300}") from None
    _copy_into(network, network.state_dict(), safetensors.torch.load_file(path), str(path))
    return network.eval()


def load_any(
    path: str | Path,
    network_class: type[Network],
    official_name: str,
    lnet_path: str | Path | None = None,
) -> Network:
    """Load our own file or an official one, told apart by content, in evaluation mode.

    Args:
        path: a file of ``save``, or an official checkpoint.
        network_class: its default config is the one of the official checkpoint.
        official_name: a key of ``OFFICIAL_FORMATS``.
        lnet_path: LNet.pth or our own L-Net, for an official ENet.pth; not used for our own files.

    Raises:
        WeightsError: as ``load`` and ``load_official``.
    """
    if is_safetensors(path):
        return load(path, network_class)
    config_class = _config_class(network_class)
    network = network_class(config_class()) if config_class else network_class()
    load_official(network, official_name, path, lnet_path)
    return network.eval()


def _find_state_dict(
    checkpoint: Mapping[str, Any], official: OfficialFormat, origin: str
) -> Mapping[str, Any]:
    for entry in official.entries:
        found = checkpoint.get(entry) if entry else checkpoint
        if isinstance(found, Mapping):
            return found
    wanted = " or ".join(f'"{entry}"' for entry in official.entries)
    raise WeightsError(f"{origin}: expected an entry {wanted}, got {shorten(checkpoint)}")


def _copy_into(
    network: nn.Module, expected: Mapping[str, Tensor], state: Mapping[str, Any], origin: str
) -> None:
    """Check ``state`` against ``expected``, key by key, then copy it into the network."""
    found = {k: Kind.of(v) if isinstance(v, Tensor) else None for k, v in state.items()}
    check_fit(expected, found, f"{origin} does not fit {type(network).__name__}")
    check_finite(state, origin)
    kept = {k: v for k, v in network.state_dict().items() if k not in expected}
    network.load_state_dict({**kept, **state}, strict=True)


def _config_class(network_class: type[nn.Module]) -> Any:
    """Return the class of the constructor's ``config``, or ``None`` where it takes none."""
    kind = typing.get_type_hints(network_class.__init__).get("config")
    return next((a for a in typing.get_args(kind) if a is not type(None)), kind)


def _from_json(kind: Any, value: Any) -> Any:
    """Turn parsed JSON back into the dataclasses and tuples that ``asdict`` flattened."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"expected a table for {kind.__name__}, got {type(value).__name__}")
        hints = typing.get_type_hints(kind)
        unknown = sorted(set(value) - set(hints))
        if unknown:
            raise TypeError(f"{kind.__name__} has no field {shorten(unknown)}")
        return kind(**{k: _from_json(hints[k], v) for k, v in value.items()})
    arguments = typing.get_args(kind)
    if isinstance(value, list) and typing.get_origin(kind) is tuple:
        same = len(arguments) == 2 and arguments[1] is Ellipsis
        kinds = [arguments[0]] * len(value) if same else arguments
        return tuple(_from_json(k, v) for k, v in zip(kinds, value, strict=True))
    if typing.get_origin(kind) in (typing.Union, types.UnionType) and value is not None:
        return _from_json(next(a for a in arguments if a is not type(None)), value)
    return value
