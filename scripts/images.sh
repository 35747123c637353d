#!/usr/bin/env bash
# Builds the images of the steps (kubeflow/Dockerfile) and of the server (serving/Dockerfile), or those that are named.
#   scripts/images.sh [pipeline] [server]
# BASE_IMAGE is what they stand on: Python's official image, or one made here where no registry is in reach. Package indexes
# (PIP_INDEX_URL, UV_DEFAULT_INDEX) and SSL_CERT_FILE of the environment are those of the build, and stay out of the images.
set -euo pipefail
cd "$(dirname "$0")/.."

{ read -r engine; read -r options; } < <(scripts/engine.sh)
version=$(sed -n 's/^ *version="\(.*\)",$/\1/p' setup.py)
official=$(sed -n 's/^ARG BASE_IMAGE=//p' serving/Dockerfile)
base=${BASE_IMAGE:-$official}
has() { $engine image inspect "$1" >/dev/null 2>&1; }
if ! has "$base" && ! $engine pull --quiet "$base" >/dev/null 2>&1; then
  [ -z "${BASE_IMAGE:-}" ] || { echo "images: no image $base, here or in a registry" >&2; exit 1; }
  base=localhost/python:3.10-debootstrap
  echo "images: $official is not in reach; making $base" >&2
  has "$base" || scripts/base_image.sh "$base"
fi

# Files and images are as old as the commit, so that the same sources give the same layers.
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
arguments=(--build-arg "BASE_IMAGE=$base" --network host)
case $engine in
  podman) arguments+=(--format docker --timestamp "$epoch") ;;  # OCI's format has no health check.
  *) arguments+=(--build-arg "SOURCE_DATE_EPOCH=$epoch") ;;
esac
for name in PIP_INDEX_URL UV_DEFAULT_INDEX; do [ -z "${!name:-}" ] || arguments+=(--build-arg "$name=${!name}"); done
[ -z "${SSL_CERT_FILE:-}" ] || arguments+=(--secret "id=certificates,src=$SSL_CERT_FILE")

[ $# -gt 0 ] || set -- pipeline server
for one in "$@"; do
  folder=serving; [ "$one" = server ] || folder=kubeflow
  tag=recommender-$one:$version
  # shellcheck disable=SC2086  # Options are words.
  $engine build $options "${arguments[@]}" --label "org.opencontainers.image.revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --file "$folder/Dockerfile" --tag "$tag" .
  echo "$tag on $base: $(($($engine image inspect --format '{{.Size}}' "$tag") / 1000000)) MB"
done
