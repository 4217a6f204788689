package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/console"
)

// The lines are those of a run, as the functions wrote them.
const (
	id       = "01a20ac6-c891-77d3-a024-e13e24f9ef89"
	placed   = `{"time":"2026-11-23T23:38:49.368659237Z","level":"INFO","msg":"order","function":"storefront","order":"` + id + `","outcome":"applied","next":"` + id + `/order-placed","published":true}`
	unsent   = `{"time":"2026-11-23T23:40:40.322Z","level":"WARN","msg":"order","function":"storefront","order":"` + id + `","outcome":"applied","next":"` + id + `/order-placed","published":false,"error":"publish ` + id + `/order-placed: send to sink order-placed: connection refused"}`
	verified = `{"time":"2026-11-23T23:38:49.386616946Z","level":"INFO","msg":"delivery","function":"payment-verification","order":"` + id + `","event":"` + id + `/order-placed","type":"orderflow.order.placed.v1","outcome":"applied","next":"` + id + `/payment-verified","duration_ms":15.997}`
	returned = `{"time":"2026-11-23T23:38:51.424849341Z","level":"INFO","msg":"delivery","function":"order-cancellation","order":"` + id + `","event":"` + id + `/order-cancelled","type":"orderflow.order.cancelled.v1","outcome":"applied","next":"","duration_ms":18.613}`
	late     = `{"time":"2026-11-23T23:40:07.221Z","level":"INFO","msg":"delivery","function":"inventory-update","order":"` + id + `","event":"` + id + `/payment-verified","type":"orderflow.payment.verified.v1","outcome":"late","next":"","duration_ms":2.913}`
	counted  = `{"time":"2026-11-23T23:38:49.403517343Z","level":"INFO","msg":"delivery","function":"order-analytics","order":"` + id + `","event":"` + id + `/order-placed","type":"orderflow.order.placed.v1","outcome":"applied","next":"","duration_ms":14.502}`
	rejected = `{"time":"2026-11-23T23:46:13.970993603Z","level":"WARN","msg":"delivery","function":"customer-notification","order":"` + id + `","event":"` + id + `/order-placed","type":"orderflow.order.placed.v1","outcome":"rejected","next":"","duration_ms":0.189,"error":"validate orderflow.order.placed.v1: order_id: missing\nnumber: missing"}`
	stranger = `{"time":"2026-11-23T23:46:13.995010779Z","level":"WARN","msg":"delivery","function":"customer-notification","order":"","event":"hello","type":"a/b","outcome":"rejected","next":"","duration_ms":0.785,"error":"customer-notification does not take events of type \"a/b\""}`
	buried   = `{"time":"2026-11-23T23:46:13.976523856Z","level":"WARN","msg":"event dead-lettered","source":"payment-verification","topic":"order-placed","partition":2,"offset":1,"event_id":"` + id + `/order-placed","type":"orderflow.order.placed.v1","status":400}`
	kept     = `{"time":"2026-11-23T23:46:13.99105602Z","level":"WARN","msg":"dead letter","function":"dead-letter-intake","outcome":"kept","letter":2,"times":1,"event":"` + id + `/order-placed","type":"orderflow.order.placed.v1","refused_by":"http://127.0.0.1:23101","code":"400"}`
	odd      = `{"time":"2026-11-23T23:46:13.998174527Z","level":"WARN","msg":"dead letter","function":"dead-letter-intake","outcome":"kept","letter":4,"times":1,"event":"hello","type":"t","refused_by":"http://127.0.0.1:23104","code":"422"}`
	unkept   = `{"time":"2026-11-23T23:46:14Z","level":"WARN","msg":"dead letter","function":"dead-letter-intake","outcome":"retry","error":"add dead letter: gone"}`
	apiCall  = `{"time":"2026-11-23T23:40:42.359Z","level":"ERROR","msg":"api call","function":"storefront","route":"POST /api/orders","status":503,"error":"find idempotency key: connection refused"}`
)

// attempt is a delivery that has failed and comes again.
func attempt(function, order string) string {
	return `{"time":"2026-11-23T23:40:15.296Z","level":"WARN","msg":"delivery","function":"` + function + `","order":"` + order + `","event":"` + order + `/order-placed","type":"orderflow.order.placed.v1","outcome":"retry","next":"","duration_ms":5001.2,"error":"ask: authorise payment: context deadline exceeded"}`
}

func TestLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ process, line, want string }{
		"the first step":            {"storefront", placed, "storefront            order 24f9ef89  placed            → order-placed"},
		"a step":                    {"payment-verification", verified, "payment-verification  order 24f9ef89  order-placed      → payment-verified     16 ms"},
		"a last step":               {"order-cancellation", returned, "order-cancellation    order 24f9ef89  order-cancelled                          19 ms"},
		"a step that came too late": {"inventory-update", late, "inventory-update      order 24f9ef89  payment-verified                          3 ms  (late)"},
		"who only watches":          {"order-analytics", counted, ""},
		"an event that waits":       {"storefront", unsent, "storefront            ! order 24f9ef89  placed            → order-placed       (not sent yet)  publish order-placed: send to sink order-placed: connection refused"},
		"a failed step":             {"payment-verification", attempt("payment-verification", id), "payment-verification  ! order 24f9ef89  order-placed                           5001 ms  (attempt 1)  ask: authorise payment: context deadline exceeded"},
		"an error of several lines": {"customer-notification", rejected, "customer-notification ! order 24f9ef89  order-placed                              0 ms  (rejected)  validate orderflow.order.placed.v1: order_id: missing number: missing"},
		"an event of no order":      {"customer-notification", stranger, "customer-notification ! no order        hello                                     1 ms  (rejected)  customer-notification does not take events of type \"a/b\""},
		"a dispatcher's burial":     {"kafka-source", buried, ""},
		"a dead letter":             {"dead-letter-intake", kept, "dead-letter-intake    ! order 24f9ef89  order-placed      is dead letter 2: refused with 400 by http://127.0.0.1:23101"},
		"a dead letter of no order": {"dead-letter-intake", odd, "dead-letter-intake    ! no order        hello             is dead letter 4: refused with 422 by http://127.0.0.1:23104"},
		"a dead letter not kept":    {"dead-letter-intake", unkept, "dead-letter-intake    ! dead letter: add dead letter: gone  outcome=retry"},
		"something else":            {"storefront", apiCall, "storefront            !! api call: find idempotency key: connection refused  route=POST /api/orders  status=503"},
		"no step of an order":       {"storefront", `{"level":"INFO","msg":"listening"}`, ""},
		"a library's line":          {"storefront", "panic: no", "storefront            panic: no"},
		"what steers a terminal":    {"storefront", "a\x1b[2Jb\u202ec\xff", "storefront            a [2Jb c�"},
		"func's inner life":         {"storefront", `{"level":"debug","message":"waiting for stop signals or errors"}`, ""},
		"func's trouble":            {"storefront", `{"level":"error","message":"function error"}`, "storefront            function error"},
		"the platform's life":       {"broker", `{"level":"INFO","msg":"kafka broker is up"}`, ""},
		"the platform's trouble":    {"kafka-source", `{"level":"WARN","msg":"kafka source can't commit offsets","err":"gone"}`, "kafka-source          ! kafka source can't commit offsets: gone"},
		"the end of a part":         {"mailbox", "orderflow: listen: taken", "mailbox               orderflow: listen: taken"},
		"postgres on a statement":   {"postgres", `ERROR:  duplicate key value`, ""},
		"a sweep without a find":    {"order-recovery", `{"level":"INFO","msg":"sweep","settled":3,"resent":0,"events":0,"failed":0,"given_up":0,"postponed":0,"complete":true}`, ""},
		"a sweep that found sth.":   {"order-recovery", `{"level":"INFO","msg":"sweep","settled":1,"resent":1,"events":2,"failed":0,"given_up":0,"postponed":0,"complete":true}`, "order-recovery        sent on again: 1 order"},
		"a sweep that failed":       {"order-recovery", `{"level":"WARN","msg":"sweep","settled":0,"resent":0,"events":0,"failed":2,"given_up":1,"postponed":0,"complete":false,"error":"refused"}`, "order-recovery        ! could not be sent on: 2 orders, given up: 1 order, refused"},
		"an empty line":             {"storefront", "", ""},
		"order that is no id":       {"payment-verification", `{"level":"INFO","msg":"delivery","order":7,"outcome":"x"}`, "payment-verification  no order                                               (x)"},
		"attributes but no message": {"storefront", `{"level":"INFO"}`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(shown(func(c *console.Console) { c.Line(test.process, test.line) }), "\n"); got != test.want {
				t.Errorf("Line(%s, %s)\n got %q\nwant %q", test.process, test.line, got, test.want)
			}
		})
	}
}

// shown are the lines that are shown, without the time.
func shown(write func(*console.Console)) []string {
	var out strings.Builder
	write(console.New(&out, false))
	const clock = len("15:04:05.000 ")
	var lines []string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.TrimSuffix(line, "\n")[clock:])
	}
	return lines
}

// While a provider is down, every order fails alike, again and again.
func TestRetriesDoNotFlood(t *testing.T) {
	t.Parallel()
	got := shown(func(c *console.Console) {
		for range 20 {
			for n := range 50 {
				line := attempt("payment-verification", fmt.Sprintf("01a20ac6-c891-77d3-a024-e13e24f9e0%02d", n))
				c.Line("payment-verification", strings.Replace(line, "context deadline exceeded", fmt.Sprintf("read tcp 127.0.0.1:%d: connection reset", 40000+n), 1))
			}
		}
		c.Line("customer-notification", attempt("customer-notification", id))
	})
	if len(got) != 2 || !strings.Contains(got[0], "payment-verification") || !strings.Contains(got[1], "customer-notification") {
		t.Errorf("one trouble of two functions is shown as\n%s", strings.Join(got, "\n"))
	}
}

// What has come to a bad end is told of each order: nothing comes after it.
func TestEveryEndIsTold(t *testing.T) {
	t.Parallel()
	for process, line := range map[string]string{
		"customer-notification": rejected, "storefront": unsent, "dead-letter-intake": kept,
	} {
		got := shown(func(c *console.Console) {
			c.Line(process, line)
			c.Line(process, strings.ReplaceAll(line, "24f9ef89", "24f9ef90"))
		})
		if len(got) != 2 {
			t.Errorf("of two orders is told\n%s", strings.Join(got, "\n"))
		}
	}
}

// A trouble that lasts is told again, with how often it came meanwhile.
func TestTroubleThatLasts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := shown(func(c *console.Console) {
			for range 30 {
				c.Line("payment-verification", attempt("payment-verification", id))
				c.Line("shipment-preparation", attempt("shipment-preparation", id))
				<-time.After(time.Second)
			}
		})
		const again = "(attempt 11)  (and 9 more like it)  ask: "
		if len(got) != 6 || !strings.Contains(got[2], again) || !strings.Contains(got[3], again) {
			t.Errorf("half a minute of trouble is shown as\n%s", strings.Join(got, "\n"))
		}
	})
}

// A delivery that came to its end says how hard that was, even one that nobody
// would have been told of.
func TestEndOfRetries(t *testing.T) {
	t.Parallel()
	got := shown(func(c *console.Console) {
		for range 3 {
			c.Line("payment-verification", attempt("payment-verification", id))
			c.Line("order-analytics", attempt("order-analytics", id))
		}
		for range 2 {
			c.Line("payment-verification", verified)
			c.Line("order-analytics", counted)
		}
	})
	var ends []string
	for _, line := range got {
		if !strings.Contains(line, "!") {
			ends = append(ends, line)
		}
	}
	want := []string{
		"payment-verification  order 24f9ef89  order-placed      → payment-verified     16 ms  (attempt 4)",
		"order-analytics       order 24f9ef89  order-placed                             15 ms  (attempt 4)",
		"payment-verification  order 24f9ef89  order-placed      → payment-verified     16 ms",
	}
	if !slices.Equal(ends, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(ends, "\n"), strings.Join(want, "\n"))
	}
}

// Nothing of a line may steer the terminal or fill it.
func TestLongLinesAreCut(t *testing.T) {
	t.Parallel()
	got := shown(func(c *console.Console) { c.Line("storefront", strings.Repeat("long ", 1000)) })
	if len(got) != 1 || len(got[0]) > 400 || !strings.HasSuffix(got[0], " ...") {
		t.Errorf("a long line is shown as %q", got)
	}
}

// Every function that an order meets has a colour of its own, and none has those
// of trouble.
func TestColours(t *testing.T) {
	t.Parallel()
	seen := map[string]string{"31": "errors", "33": "warnings"}
	for _, function := range []string{
		"storefront", "payment-verification", "inventory-update", "shipment-preparation", "order-cancellation",
		"order-recovery", "customer-notification", "order-analytics",
	} {
		var out strings.Builder
		console.New(&out, true).Line(function, "x")
		_, after, _ := strings.Cut(out.String(), " \x1b[")
		style, _, _ := strings.Cut(after, "m")
		if other := seen[style]; style == "" || other != "" {
			t.Errorf("%s is shown in %q, as %s", function, style, other)
		}
		seen[style] = function
	}
	var out strings.Builder
	console.New(&out, true).Line("storefront", apiCall)
	if !strings.Contains(out.String(), "\x1b[31m!! api call") {
		t.Errorf("an error is shown as %q", out.String())
	}
}

// A load test writes faster than anybody reads.
func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	screen := console.New(&out, false)
	const written = 5000
	for i := range written {
		screen.Line("storefront", fmt.Sprintf("line %d", i))
	}
	if shown := strings.Count(out.String(), "\n"); shown > written/5 {
		t.Errorf("%d of %d lines are shown", shown, written)
	}
	screen.Line("storefront", apiCall)
	if !strings.Contains(out.String(), "!! api call") {
		t.Error("an error is lost among them")
	}
}

func TestProgressStaysBelow(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	screen := console.New(&out, true)
	screen.Step("making a database")
	screen.Line("storefront", "hello")
	screen.Print("ready\n")
	got := out.String()
	if !strings.Contains(got, "\r\x1b[K") || !strings.HasSuffix(got, "\r\x1b[Kready\n") {
		t.Errorf("the progress line is not written over: %q", got)
	}
	if strings.Count(got, "making a database") != 2 {
		t.Errorf("the progress line is not shown again below a line: %q", got)
	}
}

func ExampleTable() {
	fmt.Print(console.Table([][3]string{
		{"storefront", "http://localhost:8080", "buy something"},
		{"Postgres", "postgres://orderflow:secret@127.0.0.1:5433/orderflow", ""},
		{"S3", "http://localhost:9000", "labels"},
	}))
	// Output:
	//   storefront  http://localhost:8080  buy something
	//   Postgres    postgres://orderflow:secret@127.0.0.1:5433/orderflow
	//   S3          http://localhost:9000  labels
}
