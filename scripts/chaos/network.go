package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/freeport"
)

// link is a caller and whom it calls.
type link struct{ From, To string }

// String implements fmt.Stringer.
func (l link) String() string { return l.From + " > " + l.To }

// network stands between the processes: a proxy for each link, and before it, where
// HTTP requests are to be meddled with, a gateway.
type network struct {
	proxies  map[string]*toxiproxy.Proxy
	gateways map[string]*gateway
}

// links are all connections between processes that are of any use to cut.
func (s *system) links() (all, outside []link) {
	readers := s.readers()
	for _, function := range s.functions {
		all = append(all, link{function, processPostgres})
		if slices.Contains(readers, function) {
			all = append(all, link{processSource, function})
		}
		if function != "backoffice" && s.sends(function) {
			all = append(all, link{function, processSink})
		}
		for setting, target := range map[string]string{
			"PAYMENT_PROVIDER_URL": processPayment, "SENDGRID_HOST": processMailbox, "AWS_ENDPOINT_URL_S3": processS3,
		} {
			if s.reads(function, setting) {
				outside = append(outside, link{function, target})
			}
		}
	}
	all = append(all, link{processSource, processBroker}, link{processSink, processBroker}, link{processSource, processSink})
	if slices.Contains(s.functions, "order-recovery") {
		all = append(all, link{processPing, "order-recovery"})
	}
	all = append(all, outside...)
	byName := func(a, b link) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(all, byName)
	slices.SortFunc(outside, byName)
	return all, outside
}

// busy are those of the links that orders go by: to cut others proves nothing.
func busy(all []link) []link {
	return slices.DeleteFunc(slices.Clone(all), func(l link) bool { return l.From == "backoffice" || l.From == "dead-letter-intake" })
}

// readers are the functions that orders' events come to.
func (s *system) readers() []string {
	var names []string
	for _, event := range events.Catalog() {
		names = append(names, event.ReadBy...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sends tells whether a SinkBinding names a function.
func (s *system) sends(function string) bool {
	text, err := os.ReadFile(filepath.Join(s.options.Root, "infra", "knative", "base", "sink-bindings.yaml"))
	return err == nil && strings.Contains(string(text), "name: "+function+"\n")
}

// openNetwork puts proxies between the processes, and writes down for the system at
// which ports processes reach each other through them.
func openNetwork(s *system, seed uint64) (n *network, through string, err error) {
	n = &network{proxies: map[string]*toxiproxy.Proxy{}, gateways: map[string]*gateway{}}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	ports := map[string]map[string]int{}
	all, outside := s.links()
	for _, l := range all {
		port, err := freeport.Find()
		if err != nil {
			return n, "", fmt.Errorf("find port: %w", err)
		}
		proxy := toxiproxy.NewProxy(server, l.String(), "127.0.0.1:"+strconv.Itoa(port), s.address(l.To))
		if err := proxy.Start(); err != nil {
			return n, "", fmt.Errorf("start proxy of %s: %w", l, err)
		}
		n.proxies[l.String()] = proxy
		if slices.Contains(outside, l) || (l.From == processSource && slices.Contains(s.functions, l.To)) {
			g, err := openGateway(proxy.Listen, seed)
			if err != nil {
				return n, "", fmt.Errorf("start gateway of %s: %w", l, err)
			}
			n.gateways[l.String()], port = g, g.port
		}
		if ports[l.From] == nil {
			ports[l.From] = map[string]int{}
		}
		ports[l.From][l.To] = port
	}
	text, err := json.Marshal(ports)
	if err != nil {
		return n, "", fmt.Errorf("write down ports: %w", err)
	}
	through = filepath.Join(s.dir, "through.json")
	if err := os.WriteFile(through, text, 0o600); err != nil {
		return n, "", fmt.Errorf("write down ports: %w", err)
	}
	return n, through, nil
}

func (n *network) close() {
	for _, g := range n.gateways {
		g.close()
	}
	for _, proxy := range n.proxies {
		proxy.Stop()
	}
}

// The toxics of each kind. A connection that is half open takes what is sent, and
// nothing arrives, in both directions, until it is closed in the end.
func toxicsOf(f fault) []string {
	switch f.Kind {
	case kindCut:
		return []string{`{"name":"x","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`}
	case kindHalfOpen:
		return []string{
			`{"name":"up","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
			`{"name":"down","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
		}
	default:
		return []string{fmt.Sprintf(`{"name":"x","type":"latency","stream":"downstream","attributes":{"latency":%d,"jitter":200}}`, 200+f.Number%800)}
	}
}

// disturb spoils a link for a while. It returns how many connections it met.
func (n *network) disturb(ctx context.Context, f fault) (hit int, err error) {
	proxy := n.proxies[f.Target]
	if proxy == nil {
		return 0, fmt.Errorf("no proxy for %s", f.Target)
	}
	for _, toxic := range toxicsOf(f) {
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return 0, fmt.Errorf("disturb %s: %w", f.Target, err)
		}
	}
	defer proxy.Toxics.ResetToxics(context.WithoutCancel(ctx))
	met := connections(proxy.Listen)
	pause(ctx, f.For)
	return max(met, connections(proxy.Listen)), nil
}

// connections counts the connections that a proxy has, by what the kernel says; 0
// where the kernel says nothing.
func connections(listen string) int {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0
	}
	_, port, _ := strings.Cut(listen, ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	local := fmt.Sprintf(":%04X", number)
	const established = "01"
	count := 0
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 3 && strings.HasSuffix(fields[1], local) && fields[3] == established {
			count++
		}
	}
	return count
}
