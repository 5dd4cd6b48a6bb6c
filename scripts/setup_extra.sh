#!/usr/bin/env bash
# Adds the extras of requirements-NAME.txt to .venv, in the versions that its lock allows:
#     bash scripts/setup_extra.sh engines trust ray web
# Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || bash scripts/setup.sh
# The versions of the lock stay, but for Pillow's: gradio wants one before 13, as requirements.txt allows.
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
grep -v '^pillow==' requirements.lock > "$constraints"
for name in "$@"; do
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint "$constraints" -r "requirements-$name.txt"
done
