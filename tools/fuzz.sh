#!/usr/bin/env bash
# Runs every fuzz target of the tree, one after the other, for the time given.
set -euo pipefail
limit=${1:-30s}
grep -rlE '^func Fuzz' --include='*_test.go' internal | sort | while read -r file; do
  for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | cut -d' ' -f2); do
    echo "== $target ($(dirname "$file"))"
    go test -run '^$' -fuzz "^${target}\$" -fuzztime "$limit" "./$(dirname "$file")"
  done
done
