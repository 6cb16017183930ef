#!/usr/bin/env bash
# Installs what is needed and draws eight ranked schemes for a site in Helsinki.
# Settings may follow: bash scripts/demo.sh brief.far=2.0
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/fabricgen demo "$@"
