#!/usr/bin/env bash
# Sets up .venv and runs the test suite, in two halves at once. Arguments go to one pytest instead.
# Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
[ $# = 0 ] || exec .venv/bin/python -m pytest "$@"

# The halves take about the same time with one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
log=$(mktemp)
trap 'rm -f "$log"; kill $(jobs -p) 2>/dev/null || true' EXIT
.venv/bin/python -m pytest -o cache_dir=.pytest_cache/e2e tests/e2e >"$log" 2>&1 &
status=0
.venv/bin/python -m pytest tests/unit tests/parity || status=$?
wait $! || status=$?
cat "$log"
exit "$status"
