"""Our code under the names that ``shared/parity/check.py`` looks for.

    python ../shared/parity/check.py --module tests/parity/official_adapter.py DNet fn_mel ...

``check.py`` loads this file by path from any Python, so the repository need not be installed. It
puts this folder on the import path by itself but not the repository, hence the one path edit.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
