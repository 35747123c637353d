#!/usr/bin/env bash
# Prints two lines: the container engine, $CONTAINER_ENGINE or the first of podman and docker that answers; and the options
# that its `build` and `run` need here, with $CONTAINER_OPTIONS. With --install it asks, and installs Debian's podman.
set -euo pipefail

answers() { command -v "$1" >/dev/null 2>&1 && "$1" version >/dev/null 2>&1; }

find_engine() {
  local engine
  for engine in ${CONTAINER_ENGINE:-podman docker}; do
    if answers "$engine"; then echo "$engine"; return; fi
  done
  return 1
}

# Engines raise a container's limits above their own. Root without this capability may not, and says which are lower.
limits() {
  (((0x$(awk '/^CapEff/ {print $2}' /proc/self/status) >> 24 & 1) == 1)) || echo "--ulimit nofile=1000:1000 --ulimit nproc=1000:1000"
}

install_engine() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || {
    echo "engine: not root on Debian or Ubuntu. Install podman (https://podman.io) or docker by hand" >&2; exit 1; }
  local answer
  read -r -p "Install the packages podman, runc and debootstrap with apt-get? [y/N] " answer || true
  [ "$answer" = y ] || { echo "engine: nothing installed" >&2; exit 1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq podman runc debootstrap >&2
}

if [ "${1:-}" = --install ] && ! find_engine >/dev/null; then install_engine; fi
find_engine || { echo "engine: no container engine answers (${CONTAINER_ENGINE:-podman, docker}): scripts/engine.sh --install" >&2; exit 1; }
echo "$(limits) ${CONTAINER_OPTIONS:-}"
