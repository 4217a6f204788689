#!/usr/bin/env bash
# Runs every fuzz test for a time, or with so many inputs (as 2000x), one after the
# other, as go test takes one at a time: fuzz.sh [-t time] [package's folder...]. What
# a test finds it leaves in testdata/fuzz of its package, where every go test tries it
# again: commit it with the mending. The first time builds all packages anew, with
# marks for their coverage.
set -euo pipefail
cd "$(dirname "$0")/../.."

time=30s
if [ "${1:-}" = -t ]; then
  time=$2
  shift 2
fi

# What makes an input smaller counts as inputs too, and is to leave some for new ones.
minimize=5s
case $time in
  *x) minimize=20x ;;
esac

failed=()
while IFS=: read -r file test; do
  package=./$(dirname "$file")
  printf '%s %s\n' "$package" "$test"
  go test -run '^$' -fuzz "^$test\$" -fuzztime "$time" -fuzzminimizetime "$minimize" -parallel 1 "$package" |
    grep -v 'gathering baseline' | tail -n "${LINES_OF_EACH:-2}" || failed+=("$package $test")
done < <(git grep -h --full-name -o --untracked -e '^func Fuzz[A-Za-z]*' --heading -- "${@:-.}" |
  awk '/_test\.go$/ { file = $0 } /^func / { print file ":" $2 }')

if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
