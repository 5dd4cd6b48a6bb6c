#!/usr/bin/env bash
# Creates .venv with the versions of requirements.lock, or brings it up to date. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "error: $("$python" --version) found, Python 3.10 or newer needed; set PYTHON=/path/to/it" >&2
  exit 2
}
[ -x .venv/bin/python ] || "$python" -m venv .venv

# A stamp of the lock file spares the package registry when nothing changed.
stamp=$(.venv/bin/python - <<'PY'
import hashlib, pathlib, sys
lock = pathlib.Path("requirements.lock").read_bytes() + pathlib.Path("pyproject.toml").read_bytes()
print(hashlib.sha256(lock + sys.version.encode() + str(pathlib.Path.cwd()).encode()).hexdigest())
PY
)
if [ "$(cat .venv/lock.sha256 2>/dev/null)" != "$stamp" ]; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
  echo "$stamp" > .venv/lock.sha256
fi
