#!/usr/bin/env bash
# Writes the three lock files from the ranges in pyproject.toml: hashes, and no index address.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
compile() { # name, then extras
  local out=$1; shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --custom-compile-command "make lock" --no-emit-package uploadgate "$@" --output-file "$out" pyproject.toml
}
compile requirements-dev.lock --extra dev ${UPGRADE:+--upgrade}
compile requirements.lock --constraint requirements-dev.lock
compile requirements-demo.lock --extra local --constraint requirements-dev.lock
