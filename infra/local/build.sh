#!/bin/sh
# Builds bin/orderflow and bin/function. The first time takes minutes, so it
# shows how many packages are compiled by now; later there is nothing to show.
set -eu
cd "$(dirname "$0")/../.."

if [ -e bin/function ] || [ ! -t 2 ]; then
	[ -e bin/function ] || echo "Building Orderflow; the first time takes a few minutes." >&2
	exec go build -o bin/ ./infra/local/cmd/...
fi

echo "Downloading what Orderflow is built from ..." >&2
total=$(go list -deps ./infra/local/cmd/... | wc -l)
# go build -v names each package that it compiles; whatever else it says is shown.
{ go build -v -o bin/ ./infra/local/cmd/... 2>&1 || echo "The build failed."; } | awk -v total="$total" '
	/^go: downloading / { next }
	/^[a-z0-9._-]+(\/[^ :]*)?$/ { printf "\rBuilding Orderflow: %d of about %d packages ", ++n, total; fflush(); next }
	/^The build failed/ { failed = 1 }
	{ print "\n" $0 }
	END { print ""; exit failed }' >&2
