package local

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/orderflow-project/orderflow/shared/freeport"
)

// The ports that people and documentation know. Functions that nobody calls
// from outside are numbered from firstFunction.
const (
	portPostgres        = 5433
	portMailbox         = 8025
	portPaymentProvider = 8070
	portStorefront      = 8080
	portBackoffice      = 8081
	portWebhooks        = 8083
	portKafkaSink       = 8090
	portS3              = 9000
	portKafka           = 9092
	firstFunction       = 8101
)

const loopback = "127.0.0.1"

// Names of the processes that are not functions.
const (
	postgresServer  = "postgres"
	broker          = "broker"
	kafkaSink       = "kafka-sink"
	kafkaSource     = "kafka-source"
	pingSource      = "ping-source"
	paymentProvider = "payment-provider"
	mailbox         = "mailbox"
	s3Server        = "s3"
)

// providerWebhooks is the function that the providers call.
const providerWebhooks = "provider-webhooks"

// Addresses are the ports of every process that listens, by its name.
type Addresses map[string]int

// addresses gives each process its port.
func addresses(functions []string, offset int) Addresses {
	ports := Addresses{
		postgresServer: portPostgres, mailbox: portMailbox, paymentProvider: portPaymentProvider,
		kafkaSink: portKafkaSink, s3Server: portS3, broker: portKafka,
		"storefront": portStorefront, "backoffice": portBackoffice, providerWebhooks: portWebhooks,
	}
	next := firstFunction
	for _, name := range slices.Sorted(slices.Values(functions)) {
		if _, known := ports[name]; !known {
			ports[name] = next
			next++
		}
	}
	for name := range maps.Keys(ports) {
		ports[name] += offset
	}
	return ports
}

// Ports that may be used: those below are for programs of the machine itself.
const (
	lowestPort  = 1024
	highestPort = 65535
)

// checkOffset refuses an offset that makes of a port what is none.
func (a Addresses) checkOffset(offset int) error {
	byPort := func(x, y string) int { return a[x] - a[y] }
	names := slices.Collect(maps.Keys(a))
	lowest, highest := slices.MinFunc(names, byPort), slices.MaxFunc(names, byPort)
	for _, name := range []string{lowest, highest} {
		if a[name] < lowestPort || a[name] > highestPort {
			return fmt.Errorf("--port-offset %d makes %d of the port of %s, which is not a port to use: give one from %d to %d",
				offset, a[name], name, lowestPort-a[lowest]+offset, highestPort-a[highest]+offset)
		}
	}
	return nil
}

// free gives each process a port that nobody has. All are held until the last is
// found, so that no two are the same.
func (a Addresses) free() error {
	for name := range a {
		listener, err := freeport.Listen()
		if err != nil {
			return err
		}
		defer listener.Close() //nolint:errcheck // it was only asked for its port
		a[name] = freeport.Port(listener)
	}
	return nil
}

// Host is where a process listens, as host:port.
func (a Addresses) Host(process string) string {
	return net.JoinHostPort(loopback, strconv.Itoa(a[process]))
}

// URL is where a process listens, as a URL.
func (a Addresses) URL(process string) string {
	return "http://" + a.Host(process)
}

// Shown is the URL of a process as one would type it.
func (a Addresses) Shown(process string) string {
	return "http://localhost:" + strconv.Itoa(a[process])
}
