// Package clustertest tests Orderflow on a real cluster, as make deploy brings it
// there: with Knative Serving and Eventing, its Kafka extensions, a Kafka and a
// registry, all of which it finds running.
//
//	make cluster-test CLUSTER=folder
//
// The folder has two programs: up.sh, which brings the cluster up, and in, which
// runs a command on its one node, where the names of the cluster's Services resolve,
// its registry is localhost:5000 and kubectl is set up. The tests run by in. They
// start Postgres, the payment provider, the mailbox and S3 beside the cluster, where
// pods reach them at the node's address.
//
// The cluster is the tests' own: they remove the namespace orderflow and its
// topics first, and again when they have passed.
package clustertest
