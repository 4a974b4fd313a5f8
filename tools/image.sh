#!/usr/bin/env bash
# Builds the image. ENGINE=buildah|podman|docker (default: whichever works here), BASE_IMAGE=…,
# TAG=…. What pip is told on this machine (an index, a proxy, certificates) is told to the build
# too, as secrets that no layer keeps.
set -euo pipefail
cd "$(dirname "$0")/.."

works() { # docker's command is often there without its daemon
  case $1 in
    docker) docker info >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

pick_engine() {
  local engine
  for engine in buildah podman docker; do
    if works "$engine"; then echo "$engine"; return; fi
  done
  echo "There is no buildah, podman or running docker here (Debian: apt-get install buildah)" >&2
  return 1
}

# The network settings of `pip config list` as a pip.conf; directories of this machine left out.
pip_configuration() {
  local python
  for python in .venv/bin/python python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip config list 2>/dev/null | "$python" tools/pip_secret.py
      return
    fi
  done
}

certificates() {
  local file
  for file in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}"; do
    if [ -s "$file" ]; then cat "$file"; return; fi
  done
}

engine=${ENGINE:-$(pick_engine)}
secrets=$(mktemp -d)
trap 'rm -rf "$secrets"' EXIT
pip_configuration >"$secrets/pip"
certificates >"$secrets/ca"

arguments=(--file Dockerfile --tag "${TAG:-uploadgate}")
if [ -n "${BASE_IMAGE:-}" ]; then arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
for name in pip ca; do
  if [ -s "$secrets/$name" ]; then arguments+=(--secret "id=$name,src=$secrets/$name"); fi
done
if [ "$engine" != docker ]; then arguments+=(--format docker); fi
"$engine" build "${arguments[@]}" .
