package stage_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// final are the statuses by which a function may refuse an event: Knative makes
// dead letters of them and tries none again.
var final = []int{
	http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// nasties are requests for events, or what somebody takes for one: a method, the
// header's lines, and the body.
func nasties(add func(method, header, body string)) {
	const binary = "Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Type: t\r\nCe-Source: /s\r\nContent-Type: application/json\r\n"
	const structured = "Content-Type: application/cloudevents+json\r\n"
	long := strings.Repeat("x", 9000)
	for _, header := range []string{
		"", binary, structured, "Content-Type: application/cloudevents-batch+json\r\n", "Content-Type: application/cloudevents+xml\r\n",
		"Ce-Specversion: 1.0\r\n", "Ce-Specversion: 99\r\nCe-Id: 1\r\n", strings.Replace(binary, "1.0", "0.3", 1),
		binary + "Ce-Time: yesterday\r\n", binary + "Ce-Time: 0000-00-00T99:99:99Z\r\n", binary + "Ce-Subject: \xff\xfe\r\n", binary + "Ce-Source: ::\x7f\r\n",
		binary + "Ce-Partitionkey: " + long + "\r\n", binary + "Ce-Id: 2\r\nce-id: 3\r\n", binary + "Ce-: x\r\nCe-A_B: y\r\nCe-DATA: z\r\n",
		binary + "Ce-Traceparent: 00-zz-zz-zz\r\n", binary + "Ce-Dataschema: %zz\r\n", binary + "Ce-Data_base64: !!\r\n", structured + binary,
		"Content-Type: application/cloudevents+json; charset=\"\r\n", "Content-Type: ;;;\r\nCe-Specversion: 1.0\r\n",
	} {
		for _, body := range []string{
			"", "{}", "null", "[]", "\xff\xfe\xfd", strings.Repeat("[", 9000), strings.Repeat(`{"data":`, 5000),
			`{"specversion":"1.0","id":"1","type":"t","source":"/s","data":{"a":1},"data_base64":"AA=="}`,
			`{"specversion":"1.0","id":1,"type":null,"source":[],"time":9e99}`, `{"specversion":"1.0","specversion":"0.3","id":"1","ID":"2","type":"t","source":"/s"}`,
			`{"specversion":"1.0","id":"1","type":"t","source":"/s","x":1e400,"y":-0,"z":9223372036854775808}`,
			`{"specversion":"1.0","id":"\u0000","type":"\ud800","source":"\r\n","data":1}{}`,
		} {
			add(http.MethodPost, header, body)
		}
	}
	add(http.MethodGet, binary, "{}")
	add(http.MethodPost, structured, `{"specversion":"1.0","id":"1","type":"t","source":"/s","data":"`+strings.Repeat("x", stage.MaxEvent)+`"}`)
}

// requestOf reads a request as net/http's server does; nil for one that it refuses
// itself.
func requestOf(method, header, body string) *http.Request {
	raw := method + " / HTTP/1.1\r\nHost: function\r\n" + header + "\r\n"
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil
	}
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return request
}

// FuzzReceive sends anything. What is taken is a valid event, which written down
// again is the same; what is refused is refused for good.
func FuzzReceive(f *testing.F) {
	nasties(func(method, header, body string) { f.Add(method, header, body) })
	f.Fuzz(func(t *testing.T, method, header, body string) {
		request := requestOf(method, header, body)
		if request == nil {
			return
		}
		received, err := stage.Receive(httptest.NewRecorder(), request)
		if err != nil {
			if status := stage.StatusOf(err); !slices.Contains(final, status) {
				t.Errorf("%s %q %q is refused by %d", method, header, body, status)
			}
			return
		}
		if err := received.Validate(); err != nil || received.ID() == "" || received.Type() == "" || received.Source() == "" || len(body) > stage.MaxEvent {
			t.Fatalf("%s %q %q is taken as %s: %v", method, header, body, received, err)
		}
		again := rewritten(t, received)
		if again.ID() != received.ID() || again.Type() != received.Type() || again.Source() != received.Source() ||
			again.Subject() != received.Subject() || !bytes.Equal(again.Data(), received.Data()) {
			t.Errorf("%s is %s, once written down", received, again)
		}
	})
}

// rewritten sends a received event on, as KafkaSink and KafkaSource do, and receives it.
func rewritten(t *testing.T, received event.Event) event.Event {
	t.Helper()
	request, err := cehttp.NewHTTPRequestFromEvent(t.Context(), "http://sink", received)
	if err != nil {
		t.Fatalf("%s can't be written: %v", received, err)
	}
	if request.Body == nil { // as a server has it
		request.Body = http.NoBody
	}
	again, err := stage.Receive(httptest.NewRecorder(), request)
	if err != nil {
		t.Fatalf("%s can't be read again: %v", received, err)
	}
	return again
}

// FuzzFrame delivers anything to a stage with an order in its database. Only the
// event that happened to the order is taken; whatever else is refused for good, and
// leaves nothing behind.
func FuzzFrame(f *testing.F) {
	pool, kafka := postgrestest.New(f), stagetest.NewSink(f)
	order := stagetest.Place(f, pool, events.StatusPaymentVerified)
	client, err := sink.NewClient(sink.Config{URL: kafka.URL()})
	if err != nil {
		f.Fatal(err)
	}
	handler := stage.NewHandler(stage.Options{
		Name: "inventory-update", Pool: pool, Sink: client, Logger: slog.New(slog.DiscardHandler), Tracer: noop.NewTracerProvider().Tracer(""),
		Rules: []stage.Rule{stage.Step[events.PaymentVerified, stage.None]{Apply: updated}},
	})
	f.Cleanup(handler.Close)
	nasties(func(method, header, body string) { f.Add(method, header, body) })
	body := `{"order_id":"` + order.ID.String() + `"}`
	for _, header := range []string{"", "Ce-Subject: x\r\n", "Ce-Subject: " + order.ID.String() + "\r\n"} {
		f.Add(http.MethodPost, "Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Source: /s\r\nCe-Type: "+events.TypePaymentVerified+"\r\n"+header, body)
		f.Add(http.MethodPost, "Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Source: /s\r\nCe-Type: "+events.TypePaymentVerified+"\r\n"+header, text(f, order))
	}
	f.Fuzz(func(t *testing.T, method, header, body string) {
		request := requestOf(method, header, body)
		if request == nil {
			return
		}
		before := rows(t, pool)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request.WithContext(t.Context()))
		after := rows(t, pool)
		switch {
		case answer.Code == http.StatusOK:
			if told, err := events.Decode(events.TypePaymentVerified, bodyOf(t, method, header, body)); err != nil || told.Order() != order.ID.String() {
				t.Errorf("%q %q is taken for what happened: %v", header, body, err)
			}
		case !slices.Contains(final, answer.Code):
			t.Errorf("%s %q %q is answered by %d %s", method, header, body, answer.Code, answer.Body)
		case after != before:
			t.Errorf("%s %q %q is refused, and has left %d rows", method, header, body, after-before)
		}
	})
}

func updated(_ context.Context, _ pgx.Tx, in stage.In[events.PaymentVerified], _ stage.None) (events.Data, error) {
	return events.InventoryUpdated{OrderID: in.Data.OrderID, Number: in.Data.Number, Lines: in.Data.Lines, Total: in.Data.Total}, nil
}

// text is the order's event as it stands in its history.
func text(tb testing.TB, order stagetest.Order) string {
	tb.Helper()
	body, err := io.ReadAll(order.Request(tb, tb.Context(), "http://function", events.TypePaymentVerified).Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}

func bodyOf(t *testing.T, method, header, body string) []byte {
	t.Helper()
	received, err := stage.Receive(httptest.NewRecorder(), requestOf(method, header, body))
	if err != nil {
		t.Fatal(err)
	}
	return received.Data()
}

func rows(t *testing.T, pool interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}) (count int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `select count(*) from order_events`).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}
