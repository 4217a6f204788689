#!/usr/bin/env bash
# Has a storm go over the system as it is, which must be clean, and then over each
# mutant of it, where the storm must find a violation: a check that can't fail is none.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

# A KafkaSource tries for seven minutes: only then is an event lost for good.
storm() { # mutant, exit status wanted
	echo "== mutant $1"
	bin/chaos/chaos --mutant="$1" --orders=200 --rate=6 --kills=16 --settle=8m --dir="$(mktemp -d /var/tmp/orderflow-mutant-XXXXXX)"
	local status=$?
	if [ "$status" -ne "$2" ]; then
		echo "mutant $1: chaos ended with $status, want $2" >&2
		exit 1
	fi
}

storm none 0
storm offset-committed-early 1
storm published-before-commit 1
storm stock-check-outside-update 1
rm -rf /var/tmp/orderflow-mutant-??????
echo "every mutant was caught"
