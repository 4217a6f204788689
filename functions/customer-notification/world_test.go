package function_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderflow-project/orderflow/events"
	function "github.com/orderflow-project/orderflow/functions/customer-notification"
	"github.com/orderflow-project/orderflow/shared/fault"
	"github.com/orderflow-project/orderflow/shared/mailbox"
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
	status, body := order.Deliver(w.tb, w.url, events.TypePaymentVerified)
	if status != want {
		w.tb.Fatalf("delivery answered %d %s, want %d", status, body, want)
	}
	return body
}

// row is what is on record about the mail for a change.
type row struct {
	State     string
	Attempts  int
	MessageID string
	LastError string
	SentAt    *time.Time
}

func (w *world) row(order stagetest.Order, change string) row {
	w.tb.Helper()
	var r row
	if err := w.pool.QueryRow(w.tb.Context(), `select state, attempts, coalesce(message_id, ''), coalesce(last_error, ''), sent_at
		from notifications where order_id = $1 and change = $2`, order.ID, change).
		Scan(&r.State, &r.Attempts, &r.MessageID, &r.LastError, &r.SentAt); err != nil {
		w.tb.Fatalf("find row: %v", err)
	}
	return r
}

func (w *world) exec(sql string, args ...any) {
	w.tb.Helper()
	if _, err := w.pool.Exec(w.tb.Context(), sql, args...); err != nil {
		w.tb.Fatal(err)
	}
}
