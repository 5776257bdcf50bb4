#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each.
set -euo pipefail
cd "$(dirname "$0")/.."
for file in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz'); do
  for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | cut -c6-); do
    echo "== $(dirname "$file") $target"
    ${GO:-go} test -run '^$' -fuzz "^${target}\$" -fuzztime "${FUZZTIME:-60s}" -fuzzminimizetime 1x "./$(dirname "$file")"
  done
done
