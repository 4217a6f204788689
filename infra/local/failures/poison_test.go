package failures_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/pipelinetest"
)

// behind is how long a good event may wait behind poison.
const behind = time.Second

// poison is a record that nobody can do anything with.
type poison struct {
	headers map[string]string
	key     string
	value   string
}

// poisons are of many sorts: no events, broken ones, and good ones that aren't true.
func poisons(topic, eventType string, order pipelinetest.Order) map[string]poison {
	event := func(id string, more ...string) map[string]string {
		headers := map[string]string{
			"ce_specversion": "1.0", "ce_id": "poison/" + topic + "/" + id, "ce_source": "/somebody", "ce_type": eventType, "content-type": "application/json",
		}
		for i := 0; i < len(more); i += 2 {
			headers[more[i]] = more[i+1]
		}
		return headers
	}
	forged := fmt.Sprintf(`{"order_id":%q,"number":"OF-00000-00000","payment_id":"p","carrier":"c","tracking_number":"t","reason":"out_of_stock",
		"lines":[{"sku":"X","quantity":1,"unit_price":{"amount":1,"currency":"EUR"}}],"total":{"amount":1,"currency":"EUR"}}`, order.ID)
	nobodys := strings.Replace(forged, order.ID.String(), "019a0000-0000-7000-8000-000000000000", 1)
	return map[string]poison{
		"nothing":            {},
		"bytes":              {nil, "\xff\x00\r\n", "\xff\xfe\x00"},
		"headers of control": {map[string]string{"a\r\nb": "c\r\nd: e\x00"}, "k", "{}"},
		"no time":            {event("time", "ce_time", "never"), "k", nobodys},
		"nameless":           {event("nameless", "ce_", "x"), "k", nobodys},
		"control":            {event("control", "ce_more", "\x00\x01\x7f\r\n"), "k", nobodys},
		"another version":    {event("version", "ce_type", strings.TrimSuffix(eventType, "v1")+"v99"), "k", nobodys},
		"somebody's type":    {event("type", "ce_type", "com.example.x"), "k", "{}"},
		"no JSON":            {event("nojson"), "k", "{"},
		"empty":              {event("empty"), "k", ""},
		"not UTF-8":          {event("utf8"), "k", "{\"order_id\":\"\xff\xfe\"}"},
		"deep":               {event("deep"), "k", strings.Repeat("[", 100_000)},
		"large":              {event("large"), "k", `{"order_id":"` + strings.Repeat("x", 900_000) + `"}`},
		"numbers":            {event("numbers"), "k", strings.Replace(nobodys, `"quantity":1`, `"quantity":1e999`, 1)},
		"wrong total":        {event("total"), "k", strings.Replace(nobodys, `"total":{"amount":1`, `"total":{"amount":2`, 1)},
		"nobody's order":     {event("nobodys"), "k", nobodys},
		"forged":             {event("forged"), order.ID.String(), forged},
		"another subject":    {event("subject", "ce_subject", "x"), "k", nobodys},
	}
}

// deliveries watches the gates of all that read topics.
type deliveries struct {
	mu sync.Mutex
	// first is when an event came to a function for the first time, and times how
	// often it came.
	first map[string]time.Time
	times map[string]int
}

// watch notes the deliveries of all functions. None of them may panic.
func watch(t *testing.T, s *pipelinetest.Shop) *deliveries {
	t.Helper()
	d := &deliveries{first: map[string]time.Time{}, times: map[string]int{}}
	for _, name := range s.Running() {
		s.Gate(name).Keep(func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			at := name + " " + r.Header.Get("Ce-Source") + " " + r.Header.Get("Ce-Id")
			d.mu.Lock()
			if d.times[at]++; d.times[at] == 1 {
				d.first[at] = time.Now()
			}
			d.mu.Unlock()
			defer func() {
				if panicked := recover(); panicked != nil {
					t.Errorf("%s panics at %s: %v", name, at, panicked)
					panic(http.ErrAbortHandler)
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
	return d
}

// TestPoison puts poison into every partition of every topic, and good orders behind
// it. Nobody panics, nothing waits, each poison is in the dead letters once for each
// function that it was given to, and the orders know nothing of it.
func TestPoison(t *testing.T) {
	t.Parallel()
	s := open(t)
	seen := watch(t, s)
	known := s.Place(t, pipelinetest.Basket(goods, 1, visa))
	s.Await(t, known, "shipped")
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchMaxBytes(2<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	letters := 0
	for _, kind := range events.Catalog() {
		for name, one := range poisons(kind.Name, kind.Type, known) {
			record := &kgo.Record{Topic: kind.Name, Key: []byte(one.key), Value: []byte(one.value)}
			for header, value := range one.headers {
				record.Headers = append(record.Headers, kgo.RecordHeader{Key: header, Value: []byte(value)})
			}
			if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			letters += len(kind.ReadBy)
		}
	}
	orders := make([]pipelinetest.Order, 6)
	placed := make([]time.Time, len(orders))
	for i := range orders {
		orders[i] = s.Place(t, pipelinetest.Basket(goods, 1, visa))
		placed[i] = time.Now() // its event is in Kafka
	}
	for i, order := range orders {
		s.Await(t, order, "shipped")
		came := seen.came("payment-verification /orderflow/storefront " + order.ID.String() + "/order-placed")
		if waited := came.Sub(placed[i]); waited > behind || came.IsZero() {
			t.Errorf("%s has waited %s behind poison, want at most %s", order.Number, waited, behind)
		}
	}
	localtest.Eventually(t, fmt.Sprintf("%d letters are kept", letters), 2*time.Minute, func() bool {
		return s.Ask(t, `select count(*)::text from dead_letters`) == fmt.Sprint(letters)
	})
	if twice := s.Ask(t, `select count(*)::text from dead_letters where times <> 1 or state <> 'open'`); twice != "0" {
		t.Errorf("%s letters came more than once", twice)
	}
	seen.wantOnce(t)
	s.WantAllTrue(t)
	s.WantStock(t, goods, 5, 0, 7) // of the twelve that the demo has
}

func (d *deliveries) came(at string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.first[at]
}

// wantOnce wants no poison to have been tried again: what is refused is refused for good.
func (d *deliveries) wantOnce(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for at, times := range d.times {
		if strings.Contains(at, "poison/") && !strings.HasPrefix(at, "dead-letter-intake ") && times != 1 {
			t.Errorf("%s was delivered %d times", at, times)
		}
	}
}
