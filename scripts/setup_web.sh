#!/usr/bin/env bash
# Adds what scripts/web.py needs to .venv. With --browser also what its tests drive: Playwright, and Chromium of the
# system (apt, as root). Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup_extra.sh web
[ "${1:-}" = --browser ] || exit 0
bash scripts/setup_extra.sh browser
command -v chromium >/dev/null || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
}
