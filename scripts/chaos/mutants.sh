#!/usr/bin/env bash
# Has a storm go over the system as it is, which must be clean, and then over each
# mutant of it, where the storm must find what that mutant does and nothing else: a
# check that can't fail is none. mutants.sh [-o option of chaos]... [mutant...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

options=()
while [ "${1:-}" = -o ]; do
	options+=("$2")
	shift 2
done
wanted=("$@")
blown=0
folder=$(mktemp -d /var/tmp/orderflow-mutants-XXXXXX)
chmod 755 "$folder" # the user who runs Postgres for root has to get in

# The last order may have to wait for order-recovery, which sends after half a minute,
# at the next minute, what a storefront that was killed hadn't. Three minutes are twice
# that; to be clean, which ends as soon as it is so, a storm gets more.
storm() { # mutant, exit status wanted, what the violation says
	if [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $1 "* ]]; then
		return
	fi
	blown=$((blown + 1))
	echo "== mutant $1"
	local settle=3m
	if [ "$2" -eq 0 ]; then settle=10m; fi
	bin/chaos/chaos --mutant="$1" --orders=200 --rate=6 --kills=16 --settle="$settle" --dir="$folder/$1" \
		"${options[@]}" | tee "$folder/$1.txt"
	local status=${PIPESTATUS[0]}
	if [ "$status" -ne "$2" ]; then
		echo "mutant $1: chaos ended with $status, want $2; see $folder" >&2
		exit 1
	fi
	if [ "$2" -ne 0 ] && ! grep -Eq "$3" <(sed -n '/^## Violations/,/^## Stories/p' "$folder/$1.txt"); then
		echo "mutant $1: it is violated what another mistake would violate, want $3; see $folder" >&2
		exit 1
	fi
}

storm none 0 ''
storm offset-committed-early 1 'have not come to an end|every_reader_has_handled'
storm published-before-commit 1 'no such event'
# An order that is cancelled once units are missing tells of less than none.
storm stock-check-outside-update 1 'stock_is_conserved|validate orderflow.order.cancelled.v1: short'
storm no-idempotency-key 1 'provider refuses: order has'
if [ ${#wanted[@]} -gt 0 ] && [ "$blown" -ne ${#wanted[@]} ]; then
	echo "of the mutants ${wanted[*]} there are only $blown" >&2
	exit 2
fi
rm -rf "$folder"
echo "every mutant was caught"
