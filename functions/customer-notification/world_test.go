package function_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/customer-notification"
	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/mailbox"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"), goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

const (
	apiKey   = "SG.for-tests"
	tokenKey = "a key that is long enough for tests"
)

// startMailbox runs the real mailbox and returns its address.
func startMailbox(tb testing.TB) string {
	tb.Helper()
	box, err := mailbox.New(mailbox.Options{Dir: tb.TempDir(), Key: apiKey, Faults: true})
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(box)
	tb.Cleanup(func() {
		server.Close()
		if err := box.Close(); err != nil {
			tb.Errorf("close mailbox: %v", err)
		}
	})
	return server.URL
}

// environment is what the function needs beside a database.
func environment(sendgridHost string) map[string]string {
	return map[string]string{
		"SENDGRID_HOST": sendgridHost, "SENDGRID_API_KEY": apiKey, "MAIL_FROM": "orders@shop.example.com",
		"SHOP_URL": "https://shop.example.com", "ORDER_TOKEN_KEY": tokenKey, "SENDGRID_TIMEOUT": "5s",
	}
}

// world is the function, running, with a database and a mailbox of its own.
type world struct {
	tb      testing.TB
	pool    *pgxpool.Pool
	mailbox string
	url     string
}

func start(tb testing.TB, settings map[string]string) *world {
	tb.Helper()
	w := &world{tb: tb, mailbox: startMailbox(tb), pool: postgrestest.New(tb)}
	variables := environment(w.mailbox)
	variables["DATABASE_URL"], variables["DATABASE_MAX_CONNS"] = w.pool.Config().ConnString(), "25"
	maps.Copy(variables, settings)
	w.url = stagetest.Run(tb, function.New(), variables)
	return w
}

// mails are those in the mailbox about an order, newest first.
func (w *world) mails(order stagetest.Order) []mailbox.Message {
	w.tb.Helper()
	response, err := http.Get(w.mailbox + "/api/messages?order=" + order.ID.String())
	if err != nil {
		w.tb.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end
	var list struct{ Messages []mailbox.Message }
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		w.tb.Fatal(err)
	}
	return list.Messages
}

// onlyMail is the one mail about an order.
func (w *world) onlyMail(order stagetest.Order) mailbox.Message {
	w.tb.Helper()
	mails := w.mails(order)
	if len(mails) != 1 {
		w.tb.Fatalf("%d mails in the mailbox, want 1", len(mails))
	}
	return mails[0]
}

// inject makes the mailbox do what a network does.
func (w *world) inject(plan fault.Plan) {
	w.tb.Helper()
	body, err := json.Marshal(plan)
	if err != nil {
		w.tb.Fatal(err)
	}
	request, err := http.NewRequestWithContext(w.tb.Context(), http.MethodPut, w.mailbox+"/faults", bytes.NewReader(body))
	if err != nil {
		w.tb.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.tb.Fatal(err)
	}
	response.Body.Close() //nolint:errcheck,gosec // only the status matters
	if response.StatusCode != http.StatusOK {
		w.tb.Fatalf("inject fault: status %d", response.StatusCode)
	}
}

// deliver delivers the event that confirms an order.
func (w *world) deliver(order stagetest.Order, want int) string {
	w.tb.Helper()
	return w.tell(order, events.TypePaymentVerified, want)
}

// egress stands between the function and the mailbox, as a proxy of the network
// does: it lets mails through, holds them, or answers itself.
type egress struct {
	// calls has one channel for each mail that waits here; what is sent on it is
	// done with the mail.
	calls chan chan<- http.HandlerFunc
	url   string
	ended chan struct{}
}

// through lets a mail through to the mailbox.
func (w *world) through() http.HandlerFunc {
	target, err := url.Parse(w.mailbox)
	if err != nil {
		w.tb.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(target).ServeHTTP
}

// answer is an answer of the proxy's own.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, status) }
}

func startEgress(tb testing.TB) *egress {
	tb.Helper()
	e := &egress{calls: make(chan chan<- http.HandlerFunc), ended: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decided := make(chan http.HandlerFunc, 1)
		select {
		case e.calls <- decided:
		case <-e.ended:
			return
		}
		select {
		case handler := <-decided:
			handler(w, r)
		case <-e.ended:
		}
	}))
	tb.Cleanup(server.Close)
	tb.Cleanup(func() { close(e.ended) })
	e.url = server.URL
	return e
}

// do decides on the next mails, one after the other, in its own time.
func (e *egress) do(next ...http.HandlerFunc) {
	go func() {
		for _, handler := range next {
			select {
			case decided := <-e.calls:
				decided <- handler
			case <-e.ended:
			}
		}
	}()
}

// row is what is on record about the mail for a change.
type row struct {
	State      string
	Attempts   int
	Uncertain  int
	MessageID  string
	RefusedFor string
	LastError  string
	SentAt     *time.Time
}

func (w *world) row(order stagetest.Order, change string) row {
	w.tb.Helper()
	var r row
	if err := w.pool.QueryRow(w.tb.Context(), `select state, attempts, uncertain, coalesce(message_id, ''), coalesce(refused_for, ''),
		       coalesce(last_error, ''), sent_at
		from notifications where order_id = $1 and change = $2`, order.ID, change).
		Scan(&r.State, &r.Attempts, &r.Uncertain, &r.MessageID, &r.RefusedFor, &r.LastError, &r.SentAt); err != nil {
		w.tb.Fatalf("find row: %v", err)
	}
	return r
}

// cancel has the customer cancel an order that is on its way.
func (w *world) cancel(order stagetest.Order) {
	w.tb.Helper()
	w.exec(`update orders set status = 'cancelled', cancel_reason = 'customer_request' where id = $1`, order.ID)
	err := pgx.BeginFunc(w.tb.Context(), w.pool, func(tx pgx.Tx) error {
		return orderlog.Append(w.tb.Context(), tx, orderlog.Entry{
			OrderID: order.ID, Name: "order-cancelled", Source: "storefront",
			Data: order.Data(events.TypeOrderCancelled), OccurredAt: time.Now().UTC(),
		})
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// tell delivers an event.
func (w *world) tell(order stagetest.Order, eventType string, want int) string {
	w.tb.Helper()
	status, body := order.Deliver(w.tb, w.url, eventType)
	if status != want {
		w.tb.Fatalf("delivery of %s answered %d %s, want %d", eventType, status, body, want)
	}
	return body
}

// telling delivers an event that takes a while; the answer is to be waited for.
func (w *world) telling(order stagetest.Order, eventType string) (answered <-chan int) {
	statuses := make(chan int, 1)
	go func() {
		status, _ := order.Deliver(w.tb, w.url, eventType)
		statuses <- status
	}()
	return statuses
}

// wantChanges holds what the mails about an order tell of, in the order they came.
func (w *world) wantChanges(order stagetest.Order, want ...string) {
	w.tb.Helper()
	var got []string
	for _, one := range slices.Backward(w.mails(order)) {
		got = append(got, one.CustomArgs["change"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.tb.Errorf("mails (-want +got):\n%s", diff)
	}
}

// wantLawful holds the invariants about mails, as the audit does.
func (w *world) wantLawful() {
	w.tb.Helper()
	list, err := invariants.All()
	if err != nil {
		w.tb.Fatal(err)
	}
	for _, one := range list {
		if !strings.Contains(one.Name, "mail") {
			continue
		}
		violations, err := invariants.Check(w.tb.Context(), w.pool, one)
		if err != nil || len(violations) > 0 {
			w.tb.Errorf("%s: %v, %v", one.Name, violations, err)
		}
	}
}

func (w *world) exec(sql string, args ...any) {
	w.tb.Helper()
	if _, err := w.pool.Exec(w.tb.Context(), sql, args...); err != nil {
		w.tb.Fatal(err)
	}
}
