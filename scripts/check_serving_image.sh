#!/usr/bin/env bash
# Checks that a pushed model answers the same with the versions of TensorFlow and ScaNN that google/tf-serving-scann
# holds, in an environment of their own under .serving-check.
#   scripts/check_serving_image.sh [DIRECTORY OF NUMBERED VERSIONS]
set -euo pipefail
cd "$(dirname "$0")/.."

models="${1:-runs/demo/serving_models/recommender}"
version=$(ls "$models" 2>/dev/null | grep -E '^[0-9]+$' | sort -n | tail -n 1) || true
[ -n "$version" ] || { echo "check: no version in $models; run the pipeline first" >&2; exit 2; }

environment=.serving-check
if [ ! -f "$environment/.made" ]; then
  uv=$(command -v uv || echo .tools/bin/uv)
  export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.tools/cache}"
  rm -rf "$environment"
  "$uv" venv --quiet --python .venv/bin/python "$environment"
  "$uv" pip install --quiet --python "$environment/bin/python" tensorflow==2.11.1 scann==1.2.9 'numpy<2'
  touch "$environment/.made"
fi

answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3
.venv/bin/python scripts/serving_answers.py record "$models/$version" "$answers/answers.npz"
"$environment/bin/python" scripts/serving_answers.py compare "$models/$version" "$answers/answers.npz"
