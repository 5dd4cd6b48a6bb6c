#!/usr/bin/env bash
# Leaves a .venv that works, without packages, in the current folder: makes it where there is none,
# makes it anew where an interrupted run or a vanished Python left a broken one. Safe to repeat.
set -euo pipefail

python=${PYTHON:-python3}
stamp=.venv/lock.sha256 # written by setup.sh: "unfinished" and its process while it installs

is_recent='import sys; sys.exit(sys.version_info < (3, 10))'
is_venv='import sys, pip; sys.exit(sys.prefix == sys.base_prefix or sys.version_info < (3, 10))'
works() { .venv/bin/python -c "$is_venv" 2>/dev/null; }
read -r state installer 2>/dev/null <$stamp || true
finished() { [ "${state:-}" != unfinished ]; }

# Whether nothing but what a virtual environment consists of is in .venv.
ours() {
  [ -d .venv ] && { [ -f .venv/pyvenv.cfg ] || [ -z "$(find .venv -mindepth 1 -maxdepth 1 \
    ! -name bin ! -name include ! -name lib ! -name lib64 ! -name share ! -name .gitignore \
    ! -name lock.sha256 -print -quit)" ]; }
}

if ! finished && [ -n "${installer:-}" ] && kill -0 "$installer" 2>/dev/null; then
  echo "error: another set-up (process $installer) is installing into .venv; wait until it ends" >&2
  exit 2
fi
if works && finished; then exit; fi
"$python" -c "$is_recent" || {
  echo "error: $("$python" --version) found, Python 3.10 or newer needed; set PYTHON=/path/to/it" >&2
  exit 2
}
if [ -L .venv ]; then
  echo "setup: .venv is a link to an unusable environment; making one here in its place" >&2
  rm .venv
elif [ -e .venv ]; then
  # An environment of uv, or one made before ensurepip was installed, lacks pip only.
  if finished && .venv/bin/python -m ensurepip >/dev/null 2>&1 && works; then exit; fi
  ours || {
    echo "error: $PWD/.venv is not a virtual environment; move it away and run this again" >&2
    exit 2
  }
  echo "setup: .venv is half made or its Python is gone; making it anew" >&2
fi
"$python" -m venv --clear .venv
