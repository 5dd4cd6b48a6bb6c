#!/usr/bin/env bash
# Creates .venv-judge, the environment of the outside judge (scripts/judge/watch.py). Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
[ -x .venv-judge/bin/python ] || "$python" -m venv .venv-judge
.venv-judge/bin/python -m pip install --quiet --disable-pip-version-check \
  -r scripts/judge/requirements.txt
.venv-judge/bin/python scripts/judge/watch.py --help > /dev/null
echo "ready: .venv-judge"
