"""Opening weight files safely: no code in a file ever runs, and a bad file is one clear line."""

from __future__ import annotations

import argparse
import collections
import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch

from retalking.errors import WeightsError

logger = logging.getLogger(__name__)

_NUMPY_SCALAR = np.float64(0).__reduce__()[0]  # its module was renamed in numpy 2
# Training files carry options, learning rates and schedules next to the weights; the classes
# listed here are all that is accepted for them, since they hold data and run nothing.
_PLAIN_DATA_CLASSES: list[Any] = [
    argparse.Namespace,
    collections.Counter,
    np.dtype,
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd"),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
]


def read_torch_file(path: str | Path) -> Mapping[str, Any]:
    """Read a ``.pt`` or ``.pth`` file without running any code in it.

    Raises:
        WeightsError: the file is missing, not such a file, truncated, TorchScript, or holds
            objects of a class that is not plain data.
    """
    path = Path(path)
    head = _read_head(path)
    if head.lstrip()[:1] == b"<":
        raise WeightsError(
            f"{path} is a web page, not weights: its download failed. Delete it and fetch it again"
        )
    is_zip = _is_zip(path)
    if is_zip and _is_torchscript(path):
        raise WeightsError(
            f"{path} is a TorchScript program; a file with the plain state dict is needed "
            "(the same weights as published before they were exported)"
        )
    try:
        with torch.serialization.safe_globals(_PLAIN_DATA_CLASSES), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what damaged files may be
            # Mapped, so that unused entries (optimiser states) never reach the memory.
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            raise WeightsError(
                f"{path} holds objects of class {refused[1]}, which are not read because a file "
                "could run code through them. Save its state dict alone and use that file"
            ) from None
        raise WeightsError(_damaged(path)) from None
    except Exception as error:  # damaged bytes can fail anywhere in the reader, in any way
        logger.debug("torch.load failed", exc_info=error)
        raise WeightsError(_damaged(path)) from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path}: expected a dictionary of tensors, got {type(loaded).__name__}")
    return loaded


def is_safetensors(path: str | Path) -> bool:
    """Tell by its first bytes (a length, then JSON) whether a file is safetensors."""
    return _read_head(Path(path))[8:9] == b"{"


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return what ``save`` wrote beside the tensors.

    Raises:
        WeightsError: the file is missing or not safetensors.
    """
    _read_head(Path(path))
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError):
        raise WeightsError(_damaged(Path(path))) from None


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except FileNotFoundError:
        raise WeightsError(
            f"{path} does not exist; official files: python -m scripts.download_checkpoints"
        ) from None
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from None


def _damaged(path: Path) -> str:
    size_bytes = path.stat().st_size
    return f"{path} ({size_bytes} bytes) is truncated or not a weight file; fetch it again"


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of a damaged directory at the end
        raise WeightsError(_damaged(path)) from None


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in member for member in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        raise WeightsError(_damaged(path)) from None
