#!/usr/bin/env bash
# Makes .venv from requirements.lock, with a Python 3.10 found on this machine or fetched by uv.
# Touches nothing outside the checkout, and does nothing when .venv is already up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
stamp=".venv/.made-from-$(cat requirements.lock setup.py scripts/setup.sh | cksum | tr ' ' '-')"
[ -f "$stamp" ] && exit 0

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The path of a working Python 3.10, of .12 or later, whose tarfile has filters: on PATH, or one that pyenv holds (its shims
# fail unless 3.10 is selected).
find_python() {
  local candidate
  for candidate in python3.10 python3 python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10, 12) <= sys.version_info < (3, 11))' >/dev/null 2>&1; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
}

# Prints the command that runs uv: the one on PATH, or one installed under .tools with any Python 3 that has pip or venv.
get_uv() {
  if command -v uv >/dev/null 2>&1; then echo uv; return; fi
  if [ ! -x .tools/bin/uv ]; then
    local python
    for python in "$1" python3 python; do
      [ -n "$python" ] || continue
      rm -rf .tools
      if "$python" -m venv .tools >/dev/null 2>&1; then
        .tools/bin/python -m pip install --quiet --no-cache-dir "uv==$UV_VERSION" >&2 && break
      elif "$python" -m pip install --quiet --no-cache-dir --target .tools "uv==$UV_VERSION" >&2; then
        break
      fi
    done
  fi
  [ -x .tools/bin/uv ] || return 1
  echo .tools/bin/uv
}

python=$(find_python)
uv=$(get_uv "$python") || fail "cannot install uv. Install it (https://docs.astral.sh/uv/) or a Python 3 with pip, and try again."
export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.tools/cache}" UV_PYTHON_INSTALL_DIR="$PWD/.python"
if [ -z "$python" ]; then
  echo "setup: no Python 3.10 on this machine; fetching one into .python" >&2
  "$uv" python install --quiet --no-bin 3.10 ||
    fail "no Python 3.10 found and none could be fetched. Install Python 3.10 (TFX 1.16 needs exactly that) and try again."
  python=$(ls -d .python/cpython-3.10*/bin/python3.10 | head -n 1)
fi

echo "setup: making .venv with $("$python" --version) (about 3 GB)" >&2
rm -rf .venv
"$uv" venv --quiet --python "$python" .venv
# Compiled here, once: where Python is told to write no bytecode, every process would spend 15 seconds on TFX's alone.
"$uv" pip install --quiet --compile-bytecode --python .venv/bin/python -r requirements.lock
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
rm -rf recommender_pipeline.egg-info  # The build's; what is installed has its own, which stays right.
touch "$stamp"
