"""The adapter loads as ``check.py`` loads it: by path, without the repository on the path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NETWORKS = "DNet LNet ENet face3d GFPGAN GPEN ParseNet RetinaFace GANimation"
FUNCTIONS = (
    "fn_mel fn_window fn_ratio fn_flow fn_align3d fn_croper fn_ffhq fn_ffhqpaste fn_gpenalign "
    "fn_blend fn_retinapost fn_autable"
)
LOAD = """
import importlib.util, os, sys
path, *names = sys.argv[1:]
sys.path.insert(0, os.path.dirname(path))
spec = importlib.util.spec_from_file_location("parity_impl", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(" ".join(name for name in names if callable(getattr(module, name, None))))
"""


def test_adapter_has_every_name_and_needs_no_installation(tmp_path: Path) -> None:
    adapter = Path(__file__).with_name("official_adapter.py")
    names = f"{NETWORKS} {FUNCTIONS}"
    # -I: neither the current folder nor PYTHONPATH helps the import along.
    command = [sys.executable, "-I", "-c", LOAD, str(adapter), *names.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names.split()
