#!/usr/bin/env bash
# Makes .venv from the locks; this is `make setup`. Does nothing when nothing changed.
#   PYTHON       which Python makes the environment (python3)
#   TORCH_INDEX  where torch comes from, if not from the default registry
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
stamp=.venv/made-from

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

step() { # a line per step: what, and how long it took
  local name=$1 began=$SECONDS
  shift
  printf '  %-26s' "$name"
  "$@" > .venv/step.txt 2>&1 || { echo; cat .venv/step.txt >&2; fail "$name: failed; nothing is kept, run it again when mended."; }
  printf '%5d s\n' $((SECONDS - began))
}

# What the environment is made from: contents, not times, since a clone resets times; and the place, since scripts name it.
packages=$( (pwd; cat requirements/torch.txt requirements/dev.lock) | sha256sum)
project=$(sha256sum < pyproject.toml)
had=$(cat "$stamp" 2> /dev/null || true)
[ -x .venv/bin/python ] && [ -x .venv/bin/footnote ] || had=
[ "$had" = "$packages$project" ] && exit 0

command -v "$python" > /dev/null || fail "there is no $python: install Python 3.11 or newer (Debian: python3 and python3-venv)."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer is needed, $python is $("$python" --version 2>&1). Name another: make setup PYTHON=python3.11"
"$python" -c 'import ensurepip, venv' 2> /dev/null ||
  fail "$python cannot make environments: install the Debian package python3-venv."

rm -f "$stamp" # whatever stops us from here on, the next run starts afresh
if [ "${had#"$packages"}" = "$had" ]; then
  echo "making .venv (minutes, the first time)"
  "$python" -m venv --clear .venv
  pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet --no-input)
  step "torch" "${pip[@]}" install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r requirements/torch.txt
  step "locked packages" "${pip[@]}" install --no-deps --require-hashes -r requirements/dev.lock
else
  echo "pyproject.toml changed: installing footnote again"
  pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet --no-input)
fi
step "footnote, editable" "${pip[@]}" install --no-deps --no-build-isolation --editable .
if ! .venv/bin/python -m pip --disable-pip-version-check check > .venv/step.txt 2>&1; then
  cat .venv/step.txt >&2
  ! grep -qiE '^torch .*(nvidia|triton|cuda)' .venv/step.txt ||
    fail "this torch needs a GPU's libraries. Set TORCH_INDEX to PyTorch's CPU wheel index: make setup TORCH_INDEX=..."
  fail "the packages do not fit together (above). If pyproject.toml changed, run \`make lock\`."
fi
printf '%s' "$packages$project" > "$stamp.new" && mv "$stamp.new" "$stamp"
