#!/usr/bin/env bash
# Creates .venv with the versions of requirements.lock, brings it up to date, or repairs it.
# Safe to interrupt and to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/make_venv.sh

# A stamp of the lock file spares the package registry when nothing changed.
stamp=$(.venv/bin/python - <<'PY'
import hashlib, pathlib, sys
files = "requirements.lock", "requirements-no-deps.lock", "pyproject.toml"
lock = b"".join(pathlib.Path(file).read_bytes() for file in files)
print(hashlib.sha256(lock + sys.version.encode() + str(pathlib.Path.cwd()).encode()).hexdigest())
PY
)
if [ "$(cat .venv/lock.sha256 2>/dev/null)" != "$stamp" ]; then
  # What is killed half way stays "unfinished" by a process that is gone, and make_venv.sh starts over; pip that fails by
  # itself (no network, say) leaves nothing half installed.
  echo unfinished $$ > .venv/lock.sha256
  install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" || {
      rm .venv/lock.sha256
      exit 1
    }
  }
  # An older lock had opencv-python, whose files share a folder with those of the headless build.
  .venv/bin/python -m pip uninstall --quiet --yes opencv-python 2>/dev/null
  install -r requirements.lock
  install --no-deps -r requirements-no-deps.lock
  install --no-deps --editable .
  echo "$stamp" > .venv/lock.sha256
fi
