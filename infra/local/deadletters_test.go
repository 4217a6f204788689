package local_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// operating is one of orderflow's for operators as a process, with a database and a sink.
type operating struct {
	t    *testing.T
	name string
	pool *pgxpool.Pool
	sink string
}

func (c operating) process(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin(), "orderflow"), append([]string{c.name}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + c.pool.Config().ConnString(), "KAFKA_SINK_INGRESS=" + c.sink, "USER=ada"}
	return cmd
}

// run returns what the command has printed, and the code that it ended with.
func (c operating) run(args ...string) (string, int) {
	c.t.Helper()
	printed, err := c.process(args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	if exit != nil {
		return string(printed), exit.ExitCode()
	}
	return string(printed), 0
}

func (c operating) want(code int, texts []string, args ...string) {
	c.t.Helper()
	printed, got := c.run(args...)
	if got != code {
		c.t.Errorf("%q ended with %d, want %d:\n%s", args, got, code, printed)
	}
	for _, text := range texts {
		if !strings.Contains(printed, text) {
			c.t.Errorf("%q doesn't print %q, but:\n%s", args, text, printed)
		}
	}
}

// deadLetters is orderflow dead-letters.
type deadLetters struct{ operating }

// letter keeps an order's event as a dead letter, with data beside its own.
func (c deadLetters) letter(order stagetest.Order, eventType, more string) {
	c.t.Helper()
	kind, _ := events.ByType(eventType)
	e, err := orderlog.Entry{OrderID: order.ID, Name: kind.Name, Source: kind.SentBy[0], Data: order.Data(eventType), OccurredAt: time.Now()}.CloudEvent()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := e.SetData("application/json", json.RawMessage(strings.Replace(string(e.Data()), "{", "{"+more, 1))); err != nil {
		c.t.Fatal(err)
	}
	document, err := e.MarshalJSON()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.pool.Exec(c.t.Context(), `insert into dead_letters (event_id, event_source, event_type, subject, error_dest, error_code, error_data, event, first_at, last_at)
		values ($1, $2, $3, $4, 'http://inventory-update.orderflow.svc.cluster.local/', '503', 'no database', $5, now(), now())`,
		e.ID(), e.Source(), e.Type(), e.Subject(), document); err != nil {
		c.t.Fatal(err)
	}
}

func TestDeadLettersCommand(t *testing.T) {
	t.Parallel()
	at := stagetest.NewSink(t)
	c := deadLetters{operating{t: t, name: "dead-letters", pool: postgrestest.New(t), sink: strings.TrimSuffix(at.URL(), "/orderflow/order-placed")}}
	order := stagetest.Place(t, c.pool, events.StatusPaymentVerified)
	c.letter(order, events.TypePaymentVerified, `"email":"ada@example.com",`)
	c.letter(order, events.TypeOrderShipped, "")
	c.want(0, []string{order.Number, "inventory-update", "503", "no database", "can't be sent", "2 letters"}, "list")
	c.want(0, []string{"payment-verified", "1 fields that it doesn't have", "would be handled by inventory-update"}, "show", "1")
	c.want(1, []string{"which letters?"}, "redrive")
	c.want(1, []string{"it needs a reason"}, "discard", "1")
	c.want(1, []string{"find dead letter 3: no such dead letter"}, "show", "3")
	c.want(80, []string{"is no time"}, "list", "--since=yesterday")
	c.want(1, []string{"to send   1 payment-verified", "refused   2 order-shipped", "1 to send, 1 refused"}, "redrive", "--all", "--dry-run")
	c.want(1, []string{"needs a reason"}, "redrive", "2", "--as-recorded", "--reason=")
	at.SetDown(true)
	c.want(1, []string{"failed    1", "status 503", "1 letter could not be sent"}, "redrive", "1")
	at.SetDown(false)
	if sent := len(at.Sent()); sent != 0 {
		t.Fatalf("%d events sent, want none yet", sent)
	}
	c.want(0, []string{"sent      1", "1 sent"}, "redrive", "--function=inventory-update", "--since=1h", "--type="+events.TypePaymentVerified, "--reason=it is back")
	c.want(0, []string{"left      1", "it is redriven"}, "redrive", "1")
	c.want(0, []string{"discarded 2", "1 discarded"}, "discard", "--order="+order.Number, "--reason=a test")
	c.want(0, []string{"redriven", "discarded"}, "list", "--state=all")
	c.want(0, []string{"redrive by ada: failed", "redrive by ada (it is back): sent"}, "show", "1")
	if sent := at.Sent(); len(sent) != 1 || sent[0].Sink != "payment-verified" {
		t.Errorf("sent %+v, want one event", sent)
	}
	for _, args := range [][]string{{"list", "--state=all"}, {"list", "--state=all", "--json"}, {"show", "1"}, {"show", "1", "--json"}} {
		printed, _ := c.run(args...)
		if strings.Contains(printed, "ada@") {
			t.Errorf("%q prints personal data:\n%s", args, printed)
		}
		if args[len(args)-1] == "--json" && !json.Valid([]byte(strings.SplitAfter(printed, "\n")[0])) {
			t.Errorf("%q prints no JSON:\n%s", args, printed)
		}
	}
}

func TestOrderCommand(t *testing.T) {
	t.Parallel()
	c := deadLetters{operating{t: t, name: "dead-letters", pool: postgrestest.New(t)}}
	order := stagetest.Place(t, c.pool, events.StatusPaymentVerified)
	story := func(code int, texts []string, args ...string) {
		t.Helper()
		cmd := c.process()
		cmd.Args = append([]string{cmd.Path, "order"}, args...)
		printed, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%q ended with %d, want %d:\n%s", args, got, code, printed)
		}
		for _, text := range texts {
			if !strings.Contains(string(printed), text) {
				t.Errorf("%q doesn't print %q, but:\n%s", args, text, printed)
			}
		}
	}
	story(0, []string{order.ID.String(), "payment_verified", "the customer", "inventory-update, customer-notification, order-analytics for payment-verified", "1 effect, 1 with a cause"}, order.Number)
	story(0, []string{`"number":"` + order.Number + `"`}, order.ID.String(), "--json")
	story(1, []string{"not placed yet"}, order.Number, "--at=2020-01-01")
	story(1, []string{"no such order"}, "OF-NONE")
	if _, err := c.pool.Exec(t.Context(), `update order_events set cause = 'never' where name = 'payment-verified'`); err != nil {
		t.Fatal(err)
	}
	story(1, []string{"never ! no such event", "1 effect, 0 with a cause", "1 effect of " + order.Number + " without a cause"}, order.Number)
}

// TestDeadLettersCommandIsKilled kills the command when the sink has the event,
// before it can write that down.
func TestDeadLettersCommandIsKilled(t *testing.T) {
	t.Parallel()
	var kill atomic.Pointer[exec.Cmd]
	var took atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		took.Add(1)
		if cmd := kill.Swap(nil); cmd != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // an answer would reach it while it dies
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	c := deadLetters{operating{t: t, name: "dead-letters", pool: postgrestest.New(t), sink: server.URL}}
	c.letter(stagetest.Place(t, c.pool, events.StatusPaymentVerified), events.TypePaymentVerified, "")
	cmd := c.process("redrive", "1", "--rate=1")
	// Held back at its claim until the handler knows whom to kill.
	blocker, err := c.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := blocker.Exec(t.Context(), `select from dead_letters for update`); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stagetest.AwaitBlocked(t, c.pool)
	kill.Store(cmd)
	if err := blocker.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	stagetest.Await(t, c.pool, `select exists (select from dead_letter_acts)`)
	localtest.Eventually(t, "the event is sent and its sender dead", 30*time.Second, func() bool { return kill.Load() == nil && took.Load() > 0 })
	c.want(0, []string{"somebody else is redriving it"}, "redrive", "1")
	if _, err := c.pool.Exec(t.Context(), `update dead_letters set redriving_until = now()`); err != nil {
		t.Fatal(err)
	}
	c.want(0, []string{"sent      1"}, "redrive", "1")
	c.want(0, []string{"letter      1, redriven", "ended before its end was written down", "redrive by ada: sent"}, "show", "1")
	if sent := took.Load(); sent != 2 {
		t.Errorf("%d events sent, want the same one twice", sent)
	}
}
