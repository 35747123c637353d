#!/usr/bin/env bash
# Takes images that the container engine has into the cluster, without a registry and as localhost/NAME:TAG: by the command
# $CLUSTER_LOAD (as `kind load docker-image`), or into the containerd of the node that this machine is.
#   scripts/cluster_load.sh localhost/NAME:TAG…
set -euo pipefail
cd "$(dirname "$0")/.."

{ read -r engine; read -r _; } < <(scripts/engine.sh)
for image in "$@"; do $engine tag "${image#localhost/}" "$image"; done
if [ -n "${CLUSTER_LOAD:-}" ]; then exec $CLUSTER_LOAD "$@"; fi
kubelet=$(pgrep -o -x kubelet) || { echo "this machine is no node; set CLUSTER_LOAD, the command that takes an image to one" >&2; exit 1; }
config=$(tr '\0' '\n' <"/proc/$kubelet/cmdline" | sed -n 's/^--config=//p')
socket=$(cd "/proc/$kubelet/cwd" && sed -n 's|^containerRuntimeEndpoint: *"*unix://\([^"]*\)"*|\1|p' "$config")
there=$(ctr --address "$socket" --namespace k8s.io images ls)
for image in "$@"; do
  id=$($engine image inspect --format '{{.Id}}' "$image")
  grep -qF "${id#sha256:}" <<<"$there" || $engine save "$image" 2>/dev/null | ctr --address "$socket" --namespace k8s.io images import - >/dev/null
done
