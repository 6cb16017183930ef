#!/usr/bin/env bash
# Makes fabricgen/report/three.min.js: the parts of three.js (MIT) that scene.js uses, in one file.
# Needs npm and its registry; run it to take a newer version, and look at the 3D view afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
three=0.187.0 esbuild=0.28.2
target="$PWD/fabricgen/report/three.min.js"
names="$(grep -o 'THREE\.[A-Z][A-Za-z0-9]*' fabricgen/report/scene.js | cut -d. -f2 | sort -u | grep -v '^OrbitControls$' | paste -sd,)"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save "three@$three" "esbuild@$esbuild"
cat >entry.js <<JS
export { $names } from "three";
export { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
JS
{
  echo "/* three.js $three, bundled by scripts/vendor_three.sh"
  echo
  cat node_modules/three/LICENSE
  echo
  echo "*/"
  node_modules/.bin/esbuild entry.js --bundle --minify --format=iife --global-name=THREE \
    --legal-comments=none --log-level=warning
} >three.min.js
mv three.min.js "$target"
wc -c "$target"
