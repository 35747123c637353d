#!/usr/bin/env bash
# Prints the path of a Chromium: the machine's own, or else one that it installs: Debian's package where this is root,
# or Playwright's build, under .tools.
set -euo pipefail
cd "$(dirname "$0")/.."

export PLAYWRIGHT_BROWSERS_PATH="$PWD/.tools/browsers"

# The path of a Chromium that starts. Ubuntu's package of this name does not where there is no snap.
find_browser() {
  local name path
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    path=$(command -v "$name") && "$path" --version >/dev/null 2>&1 && echo "$path" && return
  done
  path=$(ls -d "$PLAYWRIGHT_BROWSERS_PATH"/chromium-*/chrome-linux*/chrome 2>/dev/null | tail -n 1)
  [ -n "$path" ] && "$path" --version >/dev/null 2>&1 && echo "$path"
}

install_debian() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "browser: installing Debian's chromium" >&2
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1
}

install_playwright() {
  echo "browser: fetching Playwright's Chromium into .tools/browsers" >&2
  .venv/bin/python -m playwright install chromium >/dev/null 2>&1
}

find_browser && exit
install_debian && find_browser && exit
install_playwright && find_browser && exit
echo "browser: no Chromium on this machine, and none could be installed. Install Debian's package chromium, or run \
.venv/bin/python -m playwright install --with-deps chromium" >&2
exit 1
