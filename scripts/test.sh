#!/usr/bin/env bash
# Sets up .venv and runs the test suite. Arguments go to pytest. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
exec .venv/bin/python -m pytest "$@"
