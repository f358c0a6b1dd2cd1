#!/usr/bin/env bash
# Makes .venv-frontends from its lock: clients of other frameworks (LangChain, LlamaIndex) that tests point at the service.
# They have an environment of their own because they want other versions than the service does. Does nothing when nothing
# changed; without it those tests are skipped. PYTHON says which Python makes it (python3).
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv-frontends/made-from
wanted=$( (pwd; cat requirements/frontends.lock) | sha256sum)
[ "$(cat "$stamp" 2> /dev/null || true)" = "$wanted" ] && exit 0
rm -f "$stamp"
"${PYTHON:-python3}" -m venv --clear .venv-frontends
.venv-frontends/bin/python -m pip --disable-pip-version-check --quiet --no-input install \
  --no-deps --require-hashes -r requirements/frontends.lock
printf '%s' "$wanted" > "$stamp"
