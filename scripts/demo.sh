#!/usr/bin/env bash
# Sets up .venv and dubs the bundled sample with the embedded weights. Arguments: see --help.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
bash "$repository/scripts/setup.sh"
exec "$repository/.venv/bin/python" "$repository/scripts/demo.py" "$@"
