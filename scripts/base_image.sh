#!/usr/bin/env bash
# Makes a base for the images where no registry of images is in reach: this machine's Debian by debootstrap, and this
# checkout's Python in /usr/local, where Python's official images have theirs. Needs root.
#   scripts/base_image.sh NAME:TAG
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?the name of the image}
fail() { printf 'base image: %s\n' "$*" >&2; exit 1; }
{ read -r engine; read -r options; } < <(scripts/engine.sh) || exit 1
[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
command -v debootstrap >/dev/null || fail "install debootstrap: apt-get install debootstrap"
. /etc/os-release
[ "$ID" = debian ] || fail "this machine's Python is built for $PRETTY_NAME, and only Debian can be made here"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# The interpreter without what was installed into it, tests and what draws windows.
prefix=$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')
mkdir -p "$root/usr/local/lib/python3.10/site-packages"
tar -C "$prefix" --exclude=__pycache__ --exclude=site-packages --exclude=test --exclude=tests --exclude=idlelib --exclude=tkinter \
  --exclude='_tkinter*' --exclude='*.a' -c bin/python3.10 include lib | tar -C "$root/usr/local" --no-same-owner -x
# The packages of the libraries that its extension modules link.
packages=$(find "$root/usr/local" -name '*.so' -exec ldd {} + | awk '/=> \// {print $3}' | xargs readlink -f | sort -u |
  sed 's|.*/|*/|' | { xargs dpkg --search 2>/dev/null || true; } | cut -d: -f1 | sort -u | paste -sd,)
mv "$root/usr/local" "$root.python"
trap 'rm -rf "$root" "$root.python"' EXIT
debootstrap --variant=minbase --include="ca-certificates,$packages" "$VERSION_CODENAME" "$root" >&2
cp -a "$root.python/." "$root/usr/local/"
for link in python python3; do ln -s python3.10 "$root/usr/local/bin/$link"; done
chroot "$root" sh -c "ldconfig && python -m ensurepip" >&2
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale,info}
tar -C "$root" --sort=name -c . | $engine import --change 'CMD ["python3"]' - "$name" >/dev/null
echo "$name: $(chroot "$root" python --version), $PRETTY_NAME"
