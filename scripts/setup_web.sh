#!/usr/bin/env bash
# Adds what scripts/web.py needs to .venv. With --browser also what its tests drive: Playwright, and Chromium of the
# system (apt, as root). Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || bash scripts/setup.sh
# The versions of the lock stay, but for Pillow's: gradio wants one before 13, as requirements.txt allows.
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
grep -v '^pillow==' requirements.lock > "$constraints"
install() {
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint "$constraints" "$@"
}
install -r requirements-web.txt
[ "${1:-}" = --browser ] || exit 0
install -r requirements-browser.txt
command -v chromium >/dev/null || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
}
