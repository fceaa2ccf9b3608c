#!/usr/bin/env bash
# Runs fuzz targets, two at a time with one worker each, for the time given:
#
#   tools/fuzz.sh 30s                          # all there are
#   tools/fuzz.sh 20s sigv4. gateway/route.    # those whose package.Target begins so
#
# A prefix that matches nothing is an error. What a target found is printed,
# kept in its testdata/fuzz as Go does, and fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${1:-30s}
shift || true

all=$(grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' internal |
  sed -E 's#^internal/(.*)/[^/]+:func (Fuzz.*)#\1.\2#' | sort)
targets=$all
if (($#)); then
  targets=
  for prefix; do
    found=$(grep -F -- "$prefix" <<<"$all" | awk -v p="$prefix" 'index($0, p) == 1') ||
      { echo "no fuzz target begins with internal/$prefix" >&2; exit 2; }
    targets+=$found$'\n'
  done
  targets=$(sort -u <<<"${targets%$'\n'}")
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One build for all targets of a package, with the coverage that fuzzing needs.
for package in $(sed 's/\.Fuzz.*//' <<<"$targets" | sort -u); do
  go test -c -fuzz . -o "$work/${package//\//-}.test" "./internal/$package"
done

# run fuzzes one target and says what it found.
run() {
  package=${1%.*} target=${1##*.}
  cd "internal/$package"
  mkdir -p "$WORK/cache"
  log=$WORK/${1//\//-}.log
  if "$WORK/${package//\//-}.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$LIMIT" \
    -test.fuzzminimizetime 5s -test.parallel 1 -test.fuzzcachedir "$CACHE/weir/internal/$package" >"$log" 2>&1; then
    echo "ok    $1: $(grep -oE 'execs: [0-9]+' "$log" | tail -1)"
    return
  fi
  # Go sometimes takes the end of the time itself for a failure
  # (golang/go#75804): no input is named then.
  if ! grep -q 'Failing input' "$log" && [ "$(sed -n '/^--- FAIL/,$p' "$log" | sed -E '1d;/^(FAIL)?$/d;s/^ +//')" = "context deadline exceeded" ]; then
    echo "ok    $1: $(grep -oE 'execs: [0-9]+' "$log" | tail -1)"
    return
  fi
  echo "FAIL  $1"
  cat "$log"
  sed -nE 's/^ *Failing input written to (.*)$/\1/p' "$log" | while read -r input; do
    echo "--- internal/$package/$input"
    cat "$input"
  done
  return 1
}
export -f run
export WORK=$work LIMIT=$limit
CACHE=$(go env GOCACHE)/fuzz
export CACHE
xargs -P 2 -I{} bash -c 'run "$1"' _ {} <<<"$targets"
