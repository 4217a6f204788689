#!/bin/sh
# Makes the topics on a Kafka that Strimzi doesn't run, with the kafka-topics.sh of
# Apache Kafka. What is there already stays as it is.
#
#   BOOTSTRAP_SERVERS=broker:9092 infra/knative/kafka-topics.sh
#
# KAFKA_TOPICS        the program, if kafka-topics.sh isn't on the PATH
# COMMAND_CONFIG      a properties file for TLS and SASL
# REPLICATION_FACTOR  1 for a single broker, which then needn't wait for a second
#
# The numbers are those of infra/knative/base/kafka-topics.yaml, where the reasons
# stand; make verify-manifests holds the two to each other.
set -eu

: "${BOOTSTRAP_SERVERS:?set BOOTSTRAP_SERVERS to host:port of a Kafka broker}"
program=${KAFKA_TOPICS:-kafka-topics.sh}
replicas=${REPLICATION_FACTOR:-3}
in_sync=2
[ "$replicas" -ge 2 ] || in_sync=1

# topic NAME PARTITIONS RETENTION_BYTES RETENTION_MS
topic() {
	echo "topic $1: $2 partitions, $replicas replicas"
	"$program" --bootstrap-server "$BOOTSTRAP_SERVERS" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \
		--create --if-not-exists --topic "$1" --partitions "$2" --replication-factor "$replicas" \
		--config cleanup.policy=delete --config "min.insync.replicas=$in_sync" \
		--config "retention.bytes=$3" --config "retention.ms=$4"
}

topic order-placed 12 1073741824 1209600000
topic payment-verified 12 1073741824 1209600000
topic inventory-updated 12 1073741824 1209600000
topic order-shipped 12 1073741824 1209600000
topic order-cancelled 12 1073741824 1209600000
topic order-returned 12 1073741824 1209600000
topic order-dead-letter 3 1073741824 7776000000
