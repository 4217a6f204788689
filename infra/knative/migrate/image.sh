#!/bin/sh
# Makes the image of the migration Job and pushes it: one static program and the
# certificates to trust, on nothing. func makes images of functions only, and the
# migration is none; like func, this needs no Docker.
#
#   infra/knative/migrate/image.sh registry.example.com/orderflow/migrate:v1
#
# ARCH      the machine's, amd64 by default, or arm64
# INSECURE  1 for a registry without TLS
set -eu
cd "$(dirname "$0")/../../.."

image=${1:?usage: image.sh REGISTRY/NAME:TAG}
arch=${ARCH:-amd64}
insecure=
[ "${INSECURE:-0}" = 0 ] || insecure=--insecure
[ -x bin/crane ] || make bin/crane

# A Postgres with TLS is checked against these, which an image of nothing lacks.
certificates=
for path in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
	[ -f "$path" ] && certificates=$path && break
done
[ -n "$certificates" ] || { echo "image.sh: this machine has no certificates to put into the image" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/layer/etc/ssl/certs"
cp "$certificates" "$root/layer/etc/ssl/certs/ca-certificates.crt"
CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags='-s -w' -o "$root/layer/migrate" ./scripts/migrate
chmod -R go=rX "$root/layer"
tar -C "$root/layer" -cf "$root/layer.tar" etc migrate

# An archive as docker save makes it, and not crane's append and mutate: those push
# twice to one tag, which a registry with immutable tags refuses.
checksum=$({ sha256sum "$root/layer.tar" 2>/dev/null || shasum -a 256 "$root/layer.tar"; } | cut -d ' ' -f 1)
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/migrate"],"User":"65532:65532"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
	"$arch" "$checksum" >"$root/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$image" >"$root/manifest.json"
tar -C "$root" -cf "$root/image.tar" manifest.json config.json layer.tar
bin/crane push $insecure "$root/image.tar" "$image"
