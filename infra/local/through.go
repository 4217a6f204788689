package local

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
)

// checkThrough refuses detours that nobody would take.
func (p *plan) checkThrough() error {
	callers := []string{kafkaSink, kafkaSource, pingSource}
	for _, f := range p.functions {
		callers = append(callers, f.Name)
	}
	for caller, targets := range p.Through {
		if !slices.Contains(callers, caller) {
			return fmt.Errorf("--through has a caller %q: there are %s", caller, strings.Join(callers, ", "))
		}
		for target := range targets {
			if _, listens := p.addresses[target]; !listens || target == caller || !p.starts(target) {
				return fmt.Errorf("--through has %s call %q, which is no other process that is started here", caller, target)
			}
		}
	}
	return nil
}

// seenBy is the plan with the addresses that a process is told of others. The
// broker keeps its own, since it tells its clients: see detour.
func (p *plan) seenBy(caller string) *plan {
	through := maps.Clone(p.Through[caller])
	delete(through, broker)
	if len(through) == 0 {
		return p
	}
	seen := *p
	seen.addresses, seen.secrets = maps.Clone(p.addresses), maps.Clone(p.secrets)
	maps.Copy(seen.addresses, through)
	// It could be made of the true addresses.
	seen.values, _ = seen.configMap()
	if p.cluster != nil {
		cluster := *p.cluster
		cluster.Port = seen.addresses[postgresServer]
		seen.secrets[keyDatabaseURL] = cluster.URL()
	}
	return &seen
}

// detour tells a client of the broker where to connect to instead.
func (p *plan) detour(caller string) []string {
	port, through := p.Through[caller][broker]
	if !through {
		return nil
	}
	return []string{fmt.Sprintf("--detour=%s=%s:%d", p.addresses.Host(broker), loopback, port)}
}

// Detours has a client of Kafka's connect to another address than the one that it
// was told of; nil without any. A broker tells its clients where it is, so it isn't
// enough to give them another address to begin with.
func Detours(detours map[string]string) func(ctx context.Context, network, address string) (net.Conn, error) {
	if len(detours) == 0 {
		return nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if instead, known := detours[address]; known {
			address = instead
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// ProcessPorts are the ports that the processes would listen on, by name.
func ProcessPorts(options Options) (Addresses, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	plan, err := newPlan(options)
	if err != nil {
		return nil, err
	}
	return plan.addresses, nil
}
