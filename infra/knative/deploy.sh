#!/usr/bin/env bash
# Brings Orderflow onto the cluster that kubectl talks to, and takes it off again.
# Each of these can be repeated, and goes on where the last one ended.
#
#   infra/knative/deploy.sh deploy [FUNCTION]       everything, or one function
#   infra/knative/deploy.sh rollback FUNCTION       back to the revision before
#   infra/knative/deploy.sh status                  what is there, and what isn't ready
#   infra/knative/deploy.sh undeploy                everything but the data
#
# REGISTRY   where the images go, and where the cluster gets them from
# OVERLAY    dev (the default), production or aws, or the folder of an overlay of yours
# TAG        of the images; what git describe says if not given
# REVISION   for rollback: the revision to go to; the one before if not given
# INSECURE   1 for a registry without TLS
# ARCH       of the migration's image, amd64 or arm64; that of the first node if not given
# WAIT       seconds to wait for one step to be ready, 300 if not given
# BOOTSTRAP_SERVERS  with an overlay without Strimzi: has kafka-topics.sh make the topics
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
namespace=orderflow
wait=${WAIT:-300}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*"; }
step() { printf '\n%s\n' "$*"; }
die() {
	printf 'deploy: %s\n' "$*" >&2
	exit 1
}

# quietly WHAT COMMAND...: its output is shown only if it fails, as the reason on one line.
quietly() {
	local what=$1
	shift
	"$@" >"$work/output" 2>&1 || die "$what: $(tail -n 3 "$work/output" | tr '\n' ' ')"
}

own() { kubectl --namespace "$namespace" "$@"; }

## What there is to deploy

# overlay_folder is where the overlay is, by its name or its path.
overlay_folder() {
	local overlay=${OVERLAY:-dev}
	case $overlay in
	*/*) printf '%s' "$overlay" ;;
	*) printf '%s' "$root/infra/knative/overlays/$overlay" ;;
	esac
}

build_manifests() {
	overlay=$(overlay_folder)
	[ -f "$overlay/kustomization.yaml" ] ||
		die "there is no overlay in $overlay: OVERLAY is dev, production, aws, or a folder with a kustomization.yaml"
	kubectl kustomize "$overlay" >"$work/manifests.yaml" 2>"$work/output" ||
		die "the overlay $overlay can't be built: $(tr -s '\n\t' ' ' <"$work/output")"
}

# objects KINDS prints the objects of these kinds, and objects KINDS 0 all others.
objects() {
	awk -v kinds=" $1 " -v wanted="${2:-1}" '
		function flush() {
			if (text != "" && (index(kinds, " " kind " ") > 0) == wanted) printf "%s---\n", text
			text = kind = ""
		}
		/^---$/ { flush(); next }
		/^kind: / { kind = $2 }
		{ text = text $0 "\n" }
		END { flush() }' "$work/manifests.yaml"
}

# names FILE prints kind and name of each object.
names() {
	awk '/^kind: / { kind = $2 } /^metadata:/ { inside = 1; next } /^[^ ]/ { inside = 0 }
		inside && /^  name: / { print kind, $2 }' "$1"
}

functions() {
	local file
	for file in "$root"/functions/*/func.yaml; do basename "$(dirname "$file")"; done
}

## What the cluster has to have

check_cluster() {
	local have kind
	command -v kubectl >/dev/null || die "kubectl isn't installed"
	# It may complain of an API that is away and say all others.
	have=$(kubectl api-resources --output=name 2>"$work/output") || true
	[ -n "$have" ] || die "kubectl reaches no cluster, set KUBECONFIG or the current context: $(tail -n 1 "$work/output")"
	for kind in services.serving.knative.dev:"Knative Serving" sinkbindings.sources.knative.dev:"Knative Eventing" \
		kafkasinks.eventing.knative.dev:"the KafkaSink of Knative's Kafka extensions" \
		kafkasources.sources.knative.dev:"the KafkaSource of Knative's Kafka extensions"; do
		grep -qx "${kind%%:*}" <<<"$have" || die "the cluster lacks ${kind#*:}: install it (infra/README.md, On a cluster)"
	done
	if grep -q '^kind: KafkaTopic$' "$work/manifests.yaml" && ! grep -qx kafkatopics.kafka.strimzi.io <<<"$have"; then
		die "the cluster lacks Strimzi, whose KafkaTopics are in $overlay: add components/without-strimzi to an overlay of yours (infra/README.md, On a cluster)"
	fi
	say "cluster $(kubectl config current-context 2>/dev/null || true), overlay $overlay"
}

check_tools() {
	[ -n "${REGISTRY:-}" ] || die "set REGISTRY to where the images go: make deploy REGISTRY=registry.example.com/orderflow"
	[ -x "$root/bin/func" ] || die "bin/func is missing: make bin/func"
}

# secrets_of FILE... prints secret and key of what func.yaml files refer to.
secrets_of() {
	sed -n 's/.*{{ *secret:\([^:} ]*\):\([^} ]*\) *}}.*/\1 \2/p' "$@"
}

# secrets_of_manifests prints those that KafkaSources name key by key, and the one
# key that a KafkaSink's must have besides.
secrets_of_manifests() {
	objects "KafkaSource" | awk '/secretKeyRef:/ { inside = 1; next } inside && $1 == "key:" { key = $2 }
		inside && $1 == "name:" { print $2, key; inside = 0 }'
	objects "KafkaSink" | awk '/^  auth:/ { inside = 1 } /^  [^ ]/ && !/^  auth:/ { inside = 0 }
		inside && $1 == "name:" { print $2, "protocol" }'
}

# check_secrets reads lines of secret and key, and says of all that lack a value. What
# the overlay brings itself is as it should be, also where it is empty.
check_secrets() {
	local secret key missing=0
	objects Secret >"$work/part.yaml"
	names "$work/part.yaml" >"$work/brought"
	while read -r secret key; do
		! grep -qx "Secret $secret" "$work/brought" || continue
		own get secret "$secret" --output="go-template={{index .data \"$key\"}}" >"$work/value" 2>/dev/null || : >"$work/value"
		if [ ! -s "$work/value" ] || [ "$(cat "$work/value")" = "<no value>" ]; then
			printf 'deploy: the secret %s lacks %s\n' "$secret" "$key" >&2
			missing=$((missing + 1))
		fi
	done
	rm -f "$work/value"
	[ "$missing" = 0 ] ||
		die "make them, as kubectl --namespace $namespace create secret generic NAME --from-literal=KEY=VALUE, and run this again (infra/README.md, Secrets)"
}

## Steps

# apply WHAT KINDS [0]: and say what changed.
apply() {
	objects "$2" "${3:-1}" >"$work/part.yaml"
	[ -s "$work/part.yaml" ] || return 0
	kubectl apply --filename="$work/part.yaml" >"$work/output" 2>"$work/trouble" ||
		die "$1: $(tr '\n' ' ' <"$work/trouble")"
	grep -v ' unchanged$' "$work/output" || say "$1: nothing to change"
}

# await WHAT: until all that was applied last is Ready.
await() {
	[ -s "$work/part.yaml" ] || return 0
	kubectl wait --filename="$work/part.yaml" --for=condition=Ready --timeout="${wait}s" >"$work/output" 2>&1 ||
		die "$1: not ready after $wait s: $(readiness "$work/part.yaml" | awk '$3 != "True"' | head -n 1 | tr -s ' ')"
}

# readiness FILE prints kind, name, Ready and why not of each object that is there.
readiness() {
	kubectl get --filename="$1" --ignore-not-found --no-headers --output=custom-columns='KIND:.kind,NAME:.metadata.name,READY:.status.conditions[?(@.type=="Ready")].status,WHY:.status.conditions[?(@.type=="Ready")].message'
}

make_topics() {
	apply topics KafkaTopic
	await topics
	grep -q '^kind: KafkaTopic$' "$work/manifests.yaml" && return
	if [ -z "${BOOTSTRAP_SERVERS:-}" ]; then
		say "left to you, as the overlay is without Strimzi: infra/knative/kafka-topics.sh, or BOOTSTRAP_SERVERS=host:port"
		return
	fi
	"$root/infra/knative/kafka-topics.sh" || die "kafka-topics.sh failed; is kafka-topics.sh of Apache Kafka on the PATH?"
}

# migration is the Job with the image that was just pushed.
migration() {
	local folder=$overlay/migrate
	[ -d "$folder" ] || folder=$root/infra/knative/migrate
	kubectl kustomize "$folder" | sed "s|^\( *\(- \)\{0,1\}image: \).*|\1$1|"
}

migrate() {
	local image arch=${ARCH:-} ended='' pods end=$((SECONDS + 600))
	[ -n "$arch" ] || arch=$(kubectl get nodes --output='jsonpath={.items[0].status.nodeInfo.architecture}' 2>/dev/null || true)
	# By its digest: a node that has another image of the same tag wouldn't look for this one.
	image=$(ARCH=${arch:-amd64} "$root/infra/knative/migrate/image.sh" "$REGISTRY/migrate:$tag" 2>"$work/output") ||
		die "the image of the migration: $(tail -n 3 "$work/output" | tr '\n' ' ')"
	say "image $image"
	# A Job can't be changed. One that is at work may be ended: each migration is a transaction.
	quietly "remove the last migration" own delete job migrate --ignore-not-found
	migration "$image" >"$work/job.yaml"
	quietly "start the migration" kubectl apply --filename="$work/job.yaml"
	say "job migrate started"
	while [ -z "$ended" ]; do
		ended=$(own get job migrate --output='jsonpath={.status.conditions[?(@.status=="True")].type}' |
			tr ' ' '\n' | grep -xE 'Complete|Failed' || true)
		[ "$SECONDS" -lt "$end" ] || break
		[ -n "$ended" ] || sleep 1
	done
	case $ended in
	Complete) say "the database's schema is up to date" ;;
	Failed) die "the migration failed: $(own logs job/migrate --tail=1 2>&1)" ;;
	*)
		pods=$(own get pods --selector=job-name=migrate --output='jsonpath={.items[*].status.containerStatuses[*].state.waiting.message}')
		die "the migration isn't done after 600 s: ${pods:-$(own logs job/migrate --tail=1 2>&1)}"
		;;
	esac
}

# copy_sources has func work on a copy, since it writes func.yaml anew. The copy has
# what git knows, so that no .env that lies about gets into an image.
copy_sources() {
	cd "$root"
	{ git ls-files -z --cached -- events shared functions 2>/dev/null || find events shared functions -type f -print0; } |
		while IFS= read -r -d '' file; do
			[ ! -e "$file" ] || printf '%s\0' "$file"
		done >"$work/files"
	mkdir "$work/copy"
	tar --null --files-from="$work/files" -cf - | tar -C "$work/copy" -xf -
}

deploy_function() {
	local function=$1 began=$SECONDS flags=()
	own get serviceaccount "$function" >/dev/null 2>&1 ||
		die "the account $function isn't there: make deploy, without FUNCTION, makes what a function needs"
	[ "${INSECURE:-0}" = 0 ] || flags+=(--registry-insecure)
	# --build, because func doesn't see a change outside of the function's folder.
	"$root/bin/func" deploy --path "$work/copy/functions/$function" --build --builder=host --namespace "$namespace" \
		--image "$REGISTRY/$function:$tag" ${flags[@]+"${flags[@]}"} </dev/null >"$work/func.log" 2>&1 || {
		tail -n 20 "$work/func.log" >&2
		die "$function: func deploy failed, its last words are above"
	}
	# Where a rollback has left the traffic, func leaves it too.
	to_revision "$function" '{"latestRevision":true,"percent":100}'
	check_sink "$function"
	say "$function: $(revision "$function") is ready, after $((SECONDS - began)) s"
}

revision() { own get ksvc "$1" --output='jsonpath={.status.traffic[0].revisionName}'; }

# to_revision FUNCTION TRAFFIC sends all requests there, unless they go there already.
to_revision() {
	quietly "send requests to $1" own patch ksvc "$1" --type=merge --patch="{\"spec\":{\"traffic\":[$2]}}"
	quietly "$1 is not ready" own wait "ksvc/$1" --for=condition=Ready --timeout="${wait}s"
}

# check_sink makes sure that a function that sends knows where to.
check_sink() {
	own get sinkbinding "$1" >/dev/null 2>&1 || return 0
	[ -n "$(own get ksvc "$1" --output='jsonpath={.spec.template.spec.containers[0].env[?(@.name=="K_SINK")].value}')" ] ||
		die "$1 has no K_SINK, although the SinkBinding $1 is there: kubectl --namespace $namespace describe sinkbinding $1"
}

## Commands

deploy() {
	local only=${1:-} function
	if [ -n "$only" ] && [ ! -f "$root/functions/$only/func.yaml" ]; then
		die "there is no function $only: functions/ has $(functions | tr '\n' ' ')"
	fi
	check_tools
	build_manifests
	check_cluster
	tag=${TAG:-$(git -C "$root" describe --always --dirty 2>/dev/null || echo latest)}
	if [ -n "$only" ]; then
		secrets_of "$root/functions/$only/func.yaml" | sort -u | check_secrets
		copy_sources
		deploy_function "$only"
		return
	fi

	step "namespace, settings, accounts, policies"
	apply namespace Namespace
	apply settings "Namespace KafkaTopic KafkaSink SinkBinding KafkaSource PingSource" 0
	step "topics"
	make_topics
	step "secrets"
	{ secrets_of "$root"/functions/*/func.yaml; secrets_of_manifests; } | sort -u | check_secrets
	say "all there"
	step "sinks"
	apply sinks KafkaSink
	await sinks
	# Before the functions: one that is deployed before its binding gets a second revision.
	step "sink bindings"
	apply "sink bindings" SinkBinding
	await "sink bindings"
	step "migration"
	migrate
	step "functions"
	copy_sources
	for function in $(functions); do deploy_function "$function"; done
	step "sources"
	apply sources "KafkaSource PingSource"
	await sources
	step "deployed: $(own get ksvc storefront --output='jsonpath={.status.url}') is the shop"
}

# rollback sends all requests to an older revision. It stays there until the next deploy.
rollback() {
	local function=${1:-} now to=${REVISION:-}
	[ -n "$function" ] || die "which function is to be rolled back? make deploy-rollback FUNCTION=inventory-update"
	now=$(revision "$function" 2>/dev/null) || die "the function $function isn't deployed: make deploy-status"
	if [ -z "$to" ]; then
		to=$(own get revisions --selector="serving.knative.dev/service=$function" --sort-by=.metadata.creationTimestamp --no-headers \
			--output=custom-columns='NAME:.metadata.name,READY:.status.conditions[?(@.type=="Ready")].status' |
			awk -v now="$now" '$1 == now { print last; exit } $2 == "True" { last = $1 }')
		[ -n "$to" ] || die "$function has no revision before $now that was ready"
	fi
	own get revision "$to" >/dev/null 2>&1 || die "there is no revision $to: kubectl --namespace $namespace get revisions"
	to_revision "$function" "{\"revisionName\":\"$to\",\"percent\":100}"
	say "$function: back from $now to $to, until the next make deploy"
}

# status says of all that should be there whether it is, and fails if something isn't.
status() {
	build_manifests
	check_cluster
	objects "KafkaTopic KafkaSink SinkBinding KafkaSource PingSource" >"$work/part.yaml"
	{ names "$work/part.yaml"; functions | sed 's/^/Service /'; } >"$work/wanted"
	{
		readiness "$work/part.yaml"
		own get ksvc --no-headers --output=custom-columns='KIND:.kind,NAME:.metadata.name,READY:.status.conditions[?(@.type=="Ready")].status,WHY:.status.conditions[?(@.type=="Ready")].message'
	} >"$work/found" 2>/dev/null || true
	own get pods --selector=serving.knative.dev/service --field-selector=status.phase=Running --no-headers \
		--output=custom-columns='FUNCTION:.metadata.labels.serving\.knative\.dev/service' 2>/dev/null >"$work/pods" || true
	own get ksvc --no-headers --output=custom-columns='NAME:.metadata.name,REVISION:.status.traffic[*].revisionName' 2>/dev/null >"$work/revisions" || true
	awk -v folder="$work" '
		function column(kind, name, state) { printf "%-12s %-24s %s\n", kind, name, state }
		FILENAME == folder "/found" { ready[$1, $2] = $3; why = $0; sub(/^[^ ]+ +[^ ]+ +[^ ]+ +/, "", why); reason[$1, $2] = why; next }
		FILENAME == folder "/pods" { pods[$1]++; next }
		FILENAME == folder "/revisions" { revision[$1] = $2; next }
		{
			if (!(($1, $2) in ready)) { column($1, $2, "missing"); bad++ }
			else if (ready[$1, $2] != "True") { column($1, $2, "not ready: " reason[$1, $2]); bad++ }
			else column($1, $2, "ready" ($1 == "Service" ? ", " revision[$2] ", " pods[$2] + 0 " pods" : ""))
		}
		END { print ""; print NR ? (bad ? bad " not ready" : "all ready") : ""; exit bad > 0 }' \
		"$work/found" "$work/pods" "$work/revisions" "$work/wanted"
}

undeploy() {
	[ $# = 0 ] || die "undeploy removes everything; one function: kubectl --namespace $namespace delete ksvc $1"
	build_manifests
	check_cluster
	step "sources"
	remove "KafkaSource PingSource"
	step "functions"
	own delete ksvc --selector=function.knative.dev/name
	# They finish what they have, and for that need their sinks.
	own wait pods --selector=serving.knative.dev/service --for=delete --timeout="${wait}s" >/dev/null 2>&1 || true
	step "the rest"
	own delete job migrate --ignore-not-found
	remove SinkBinding
	remove KafkaSink
	remove "Namespace KafkaTopic KafkaSource PingSource SinkBinding KafkaSink" 0
	step "undeployed; the namespace $namespace with its secrets, the topics and the database are kept"
}

remove() {
	objects "$1" "${2:-1}" >"$work/part.yaml"
	kubectl delete --filename="$work/part.yaml" --ignore-not-found --timeout="${wait}s" 2>"$work/trouble" ||
		die "$(tr '\n' ' ' <"$work/trouble")"
}

case ${1:-} in
deploy | rollback | status | undeploy) "$@" ;;
*) die "usage: deploy.sh deploy [FUNCTION] | rollback FUNCTION | status | undeploy" ;;
esac
