#!/usr/bin/env bash
# Makes .venv-peers from its lock: the frameworks that `python -m benchmarks.peers` compares with, beside what Footnote needs.
# They have an environment of their own because they want other versions of much than Footnote does. Does nothing when nothing
# changed. PYTHON says which Python makes it (python3), TORCH_INDEX where torch comes from, if not from the default registry.
#   bash requirements/peers.sh && PYTHONPATH=. .venv-peers/bin/python -m benchmarks.peers SET
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv-peers/made-from
wanted=$( (pwd; cat requirements/torch.txt requirements/peers.lock) | sha256sum)
[ "$(cat "$stamp" 2> /dev/null || true)" = "$wanted" ] && exit 0
rm -f "$stamp"
"${PYTHON:-python3}" -m venv --clear .venv-peers
pip=(.venv-peers/bin/python -m pip --disable-pip-version-check --quiet --no-input)
"${pip[@]}" install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r requirements/torch.txt
"${pip[@]}" install --no-deps --require-hashes -r requirements/peers.lock
printf '%s' "$wanted" > "$stamp"
