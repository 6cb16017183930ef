#!/usr/bin/env bash
# Everything that must hold before a change is published: style, types, floors, tests.
#   bash scripts/test.sh [quick]    quick leaves the slow tests out
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
bin=.venv/bin

step() {
  local began=$SECONDS
  echo "== $1" >&2
  "${@:2}"
  echo "== $1: passed in $((SECONDS - began)) s" >&2
}

jobs=(-n "${FABRICGEN_JOBS:-2}" -p no:cacheprovider -q)
step "lint" "$bin/ruff" check .
step "format" "$bin/ruff" format --check --quiet .
step "types of the strict rooms" "$bin/mypy"
step "floors" "$bin/lint-imports"
step "quick tests" "$bin/python" -m pytest "${jobs[@]}"
if [[ ${1:-} != quick ]]; then
  step "slow tests" "$bin/python" -m pytest "${jobs[@]}" -m slow
fi
