#!/usr/bin/env bash
# Makes .venv in the checkout with fabricgen and what it needs; does nothing when all is in place.
#
#   FABRICGEN_TORCH      auto (default: cuda if nvidia-smi lists a GPU), cpu, cuda
#   FABRICGEN_EXTRAS     extras to install, "dev" by default
#   FABRICGEN_CPU_INDEX  package index that holds the CPU build of torch, where pip knows none
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*" >&2; }
stop() { say "$*"; exit 3; }

# The first Python that really runs; a version manager's shim can exist and still fail.
find_python() {
  local name
  for name in python3.11 python3.12 python3.13 python3; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  stop "needs Python 3.11, 3.12 or 3.13 with its venv module; install one of them"
}

choose_torch() {
  local asked="${FABRICGEN_TORCH:-auto}"
  case "$asked" in
    cpu | cuda) echo "$asked" ;;
    auto)
      if [[ $(uname) != Linux ]] || nvidia-smi -L 2>/dev/null | grep -q GPU; then
        echo cuda # on other systems the standard build is the right one
      else
        echo cpu
      fi
      ;;
    *) stop "FABRICGEN_TORCH is '$asked'; give auto, cpu or cuda" ;;
  esac
}

# What pip's own configuration says of an option (files and environment; the last one counts).
pip_option() {
  .venv/bin/python -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -1
}

# uv reads no configuration of pip, so it is told what pip knows.
uv_install() {
  local links index cert
  links="$(pip_option find-links)" index="$(pip_option index-url)" cert="$(pip_option cert)"
  UV_FIND_LINKS="${UV_FIND_LINKS:-${links// /,}}" \
    UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}" \
    SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}" \
    .venv/bin/python -m uv pip install --quiet --python .venv/bin/python "$@"
}

pip_install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }

install() { # uv where it can be had and succeeds, else pip, which is slower
  if .venv/bin/python -m uv --version >/dev/null 2>&1 && uv_install "$@"; then
    return
  fi
  say "installing with pip, which takes a few minutes"
  pip_install "$@"
}

build() {
  local pinned=()
  rm -f .venv/.stamp
  if [[ $(.venv/bin/python -V 2>/dev/null) != "$("$python" -V)" ]]; then
    say "making .venv with $("$python" -V)"
    "$python" -m venv --clear .venv
  fi
  pip_install uv 2>/dev/null || say "uv cannot be had here"

  say "installing fabricgen[$extras] with torch for $torch"
  if [[ $torch == cpu ]]; then
    pinned=(-c constraints/cpu.txt)
    if [[ -n ${FABRICGEN_CPU_INDEX:-} ]]; then
      pip_install "${pinned[@]}" --index-url "$FABRICGEN_CPU_INDEX" torch torchvision
    fi
  fi
  if ! install "${pinned[@]}" -e ".[$extras]"; then
    [[ $torch == cuda ]] && stop "the packages cannot be installed; see the lines above"
    stop "no CPU build of torch within reach, or a package is missing (see the lines above);" \
      "name an index that has it in FABRICGEN_CPU_INDEX (PyTorch's install page lists one)," \
      "or take the standard build of several GB, which also runs on a CPU: FABRICGEN_TORCH=cuda"
  fi
}

python="$(find_python)"
torch="$(choose_torch)"
extras="${FABRICGEN_EXTRAS:-dev}"
stamp="$("$python" - "$torch" "$extras" <<'PY'
import hashlib, pathlib, sys

said = [sys.version, *sys.argv[1:], str(pathlib.Path.cwd())]
said += [pathlib.Path(name).read_text() for name in ("pyproject.toml", "constraints/cpu.txt")]
print(hashlib.sha256("\n".join(said).encode()).hexdigest())
PY
)"

is_done() { [[ -f .venv/.stamp && $(<.venv/.stamp) == "$stamp" ]]; }

is_done && exit 0
exec 9>.setup.lock
if command -v flock >/dev/null; then flock 9; fi
is_done && exit 0 # another run was faster
build
echo "$stamp" >.venv/.stamp
say "done"
