"""Our code under the names that ``shared/parity/check.py`` looks for.

    python ../shared/parity/check.py --module tests/parity/official_adapter.py DNet fn_mel ...

``check.py`` loads this file by path from any Python, so the repository need not be installed. It
puts this folder on the import path by itself but not the repository, hence the one path edit.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from adapter_functions import (
    fn_align3d,
    fn_blend,
    fn_chunks,
    fn_compose,
    fn_croper,
    fn_ffhq,
    fn_ffhqpaste,
    fn_gpenalign,
    fn_gpenprocess,
    fn_mel,
    fn_ratio,
    fn_window,
)
from adapter_networks import DNet, ENet, LNet, fn_flow
from adapter_third_party import (
    GFPGAN,
    GPEN,
    S3FD,
    GANimation,
    ParseNet,
    RetinaFace,
    face3d,
    fn_autable,
    fn_retinapost,
)

__all__ = [
    "GFPGAN",
    "GPEN",
    "S3FD",
    "DNet",
    "ENet",
    "GANimation",
    "LNet",
    "ParseNet",
    "RetinaFace",
    "face3d",
    "fn_align3d",
    "fn_autable",
    "fn_blend",
    "fn_chunks",
    "fn_compose",
    "fn_croper",
    "fn_ffhq",
    "fn_ffhqpaste",
    "fn_flow",
    "fn_gpenalign",
    "fn_gpenprocess",
    "fn_mel",
    "fn_ratio",
    "fn_retinapost",
    "fn_window",
]
