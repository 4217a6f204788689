package attempt_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// world is a function's ledger in front of a provider that can be disturbed.
type world struct {
	*attempt.Ledger

	t        *testing.T
	pool     *pgxpool.Pool
	provider *sandboxtest.Provider
	order    payment.Order
}

func open(t *testing.T) world {
	t.Helper()
	w := world{t: t, pool: postgrestest.New(t), provider: sandboxtest.Start(t)}
	w.order = payment.Order{ID: uuid.Must(uuid.NewV7()).String(), Total: events.Money{Amount: 3300, Currency: "EUR"}}
	told := w.provider.Environment()
	var err error
	w.Ledger, err = attempt.Open(w.pool, payment.Config{
		Provider: "sandbox", URL: told["PAYMENT_PROVIDER_URL"], Key: told["PAYMENT_PROVIDER_KEY"],
	}, "a-function")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// do makes an attempt at a step.
func (w world) do(ctx context.Context, step payment.Step) (attempt.Answer, error) {
	switch step {
	case payment.StepAuthorise:
		return w.Authorise(ctx, events.OrderPlaced{}, payment.AuthoriseRequest{OrderID: w.order.ID, Amount: w.order.Total, Method: "pm_card_visa"})
	case payment.StepCapture:
		return w.Capture(ctx, events.InventoryUpdated{}, w.order)
	default:
		return w.Release(ctx, events.OrderCancelled{}, w.order)
	}
}

// must makes an attempt, and writes down its answer as a function does.
func (w world) must(step payment.Step) payment.Payment {
	w.t.Helper()
	answer, err := w.do(w.t.Context(), step)
	if err != nil {
		w.t.Fatal(err)
	}
	w.record(answer)
	return answer.Payment
}

func (w world) record(answer attempt.Answer) {
	w.t.Helper()
	if err := pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error { return w.Record(w.t.Context(), tx, answer) }); err != nil {
		w.t.Error(err)
	}
}

func (w world) exec(statements ...string) {
	w.t.Helper()
	for _, statement := range statements {
		if _, err := w.pool.Exec(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// failing has the database fail at what is done to the ledger.
func (w world) failing(event string) {
	w.t.Helper()
	w.exec(`create function fail() returns trigger language plpgsql as $$ begin raise 'out of disk'; end $$`,
		`create trigger fail before `+event+` on payment_attempts for each row execute function fail()`)
}

// lines are the attempts on record: step, outcome, whether it was found out by asking,
// and the failure.
func (w world) lines() []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `select concat_ws(' ', step, coalesce(outcome, '-'), case when asked then 'by asking' end, failure)
		from payment_attempts where order_id = $1 order by id`, w.order.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func (w world) wantLines(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.lines(), cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("attempts on record (-want +got):\n%s", diff)
	}
}

func (w world) wantMoved(want ...payment.Kind) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.provider.Kinds(w.t, w.order.ID), cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("moved by the provider (-want +got):\n%s", diff)
	}
}

// step is a step with what comes before it and what comes of it.
type step struct {
	before []payment.Step
	moves  []payment.Kind
	state  payment.State
	path   string
}

func steps() map[payment.Step]step {
	return map[payment.Step]step{
		payment.StepAuthorise: {nil, []payment.Kind{"authorise"}, payment.StateAuthorised, "/v1/payments"},
		payment.StepCapture:   {[]payment.Step{"authorise"}, []payment.Kind{"authorise", "capture"}, payment.StateCaptured, "/v1/payments/*/capture"},
		payment.StepRelease:   {[]payment.Step{"authorise"}, []payment.Kind{"authorise", "void"}, payment.StateVoided, "/v1/payments/*/release"},
	}
}

// inEach runs one test for each step, with a ledger that has what comes before it.
func inEach(t *testing.T, test func(w world, name payment.Step, s step)) {
	t.Helper()
	t.Parallel()
	for name, s := range steps() {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			w := open(t)
			for _, earlier := range s.before {
				w.must(earlier)
			}
			w.exec(`alter table payment_attempts disable trigger user`, `delete from payment_attempts`, `alter table payment_attempts enable trigger user`)
			test(w, name, s)
		})
	}
}

// The provider acts, and no answer comes: it is asked how things stand, and that is
// the answer. Were it called again, it would fail again.
func TestNobodyHeardTheAnswer(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		w.provider.Fault(w.t, `{"after":{"method":"POST","path":"`+s.path+`","drop":true}}`)
		if _, err := w.do(w.t.Context(), name); !payment.Temporary(err) {
			w.t.Errorf("the first attempt: %v, want a temporary error", err)
		}
		w.wantLines(string(name) + " unknown connection")
		if got := w.must(name).State; got != s.state {
			w.t.Errorf("the payment is %s, want %s", got, s.state)
		}
		w.wantLines(string(name)+" unknown connection", string(name)+" "+string(s.state)+" by asking")
		w.wantMoved(s.moves...)
	})
}

// The provider never got it: asking shows that nothing came of it, and the same call
// is made again.
func TestProviderNeverGotIt(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		w.provider.Fault(w.t, `{"before":{"method":"POST","path":"`+s.path+`","status":503,"count":1}}`)
		if _, err := w.do(w.t.Context(), name); !payment.Temporary(err) {
			w.t.Errorf("the first attempt: %v, want a temporary error", err)
		}
		w.must(name)
		w.wantLines(string(name)+" unknown unreadable", string(name)+" "+string(s.state))
		w.wantMoved(s.moves...)
	})
}

// As long as nobody can tell what came of it, it is not made again.
func TestAskingFails(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		w.provider.Fault(w.t, `{"before":{"drop":true}}`)
		for range 2 {
			if _, err := w.do(w.t.Context(), name); !payment.Temporary(err) {
				w.t.Errorf("an attempt: %v, want a temporary error", err)
			}
		}
		w.provider.Fault(w.t, `{"before":{"method":"GET","path":"/v1/payments/*","status":503}}`)
		if _, err := w.do(w.t.Context(), name); err == nil {
			w.t.Error("it was made again, and nobody had been asked")
		}
		w.wantMoved(s.moves[:len(s.before)]...)
		w.provider.Fault(w.t, `{}`)
		w.must(name)
		w.wantMoved(s.moves...)
		w.wantLines(string(name)+" unknown connection", string(name)+" unknown connection", string(name)+" unknown unreadable",
			string(name)+" "+string(s.state))
	})
}

// A provider that won't tell has refused nothing of what it was asked for before.
func TestRefusesToTell(t *testing.T) {
	t.Parallel()
	w := open(t)
	silent := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			out.WriteHeader(http.StatusBadGateway)
			return
		}
		out.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(out, `{"code":"invalid_request"}`)
	}))
	defer silent.Close()
	ledger, err := attempt.Open(w.pool, payment.Config{Provider: "sandbox", URL: silent.URL, Key: "key"}, "a-function")
	if err != nil {
		t.Fatal(err)
	}
	other := w
	other.Ledger = ledger
	for range 2 {
		if _, err := other.do(t.Context(), payment.StepAuthorise); err == nil {
			t.Error("an attempt that nobody answers has succeeded")
		}
	}
	w.provider.Fault(t, `{"before":{"method":"GET","status":503,"count":1}}`)
	if _, err := w.do(t.Context(), payment.StepAuthorise); err == nil {
		t.Error("it was made again, and nobody had been asked")
	}
	w.must(payment.StepAuthorise)
	w.wantLines("authorise unknown unreadable", "authorise unknown refused", "authorise unknown unreadable", "authorise authorised")
}

// Whoever dies between the answer and the commit leaves an attempt without an outcome.
func TestDiesBeforeItsCommit(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		if _, err := w.do(w.t.Context(), name); err != nil {
			w.t.Fatal(err)
		}
		w.provider.Fault(w.t, `{"before":{"method":"POST","drop":true}}`)
		w.must(name)
		w.wantLines(string(name)+" -", string(name)+" "+string(s.state)+" by asking")
		w.wantMoved(s.moves...)
	})
}

// A request is on its way when its process dies, and arrives when another has asked
// and seen nothing: the key is the same, and so is the payment.
func TestDiesWithTheRequestUnderWay(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		held := w.provider.Hold(w.t, s.path, false)
		ctx, cancel := context.WithCancel(w.t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := w.do(ctx, name)
			first <- err
		}()
		<-held.Reached
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			w.t.Errorf("the first attempt: %v, want that it was stopped", err)
		}
		w.must(name)
		held.Resume()
		<-held.Over
		w.wantLines(string(name)+" unknown stopped", string(name)+" "+string(s.state))
		w.wantMoved(s.moves...)
	})
}

// Deliveries of one order don't wait for each other, and come to one payment.
func TestAtOnce(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		const deliveries = 20
		var group sync.WaitGroup
		for range deliveries {
			group.Go(func() {
				answer, err := w.do(w.t.Context(), name)
				if err != nil || answer.State != s.state {
					w.t.Errorf("answered %s, %v, want %s", answer.State, err, s.state)
					return
				}
				w.record(answer)
			})
		}
		group.Wait()
		if n := len(w.lines()); n != deliveries {
			w.t.Errorf("%d attempts are on record, want %d", n, deliveries)
		}
		w.wantMoved(s.moves...)
	})
}

// The same key for anything else is a defect, and the provider doesn't hear of it.
func TestAnotherRequestUnderTheKey(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		w.must(name)
		w.provider.Fault(w.t, `{"before":{"method":"POST","drop":true}}`)
		for what, total := range map[string]events.Money{"amount": {Amount: 3301, Currency: "EUR"}, "currency": {Amount: 3300, Currency: "USD"}} {
			other := w
			other.order.Total = total
			if _, err := other.do(w.t.Context(), name); !errors.Is(err, payment.ErrConflict) {
				w.t.Errorf("another %s: %v, want ErrConflict", what, err)
			}
		}
		w.wantLines(string(name) + " " + string(s.state))
		w.wantMoved(s.moves...)
	})
}

func TestAnotherMethodUnderTheKey(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.must(payment.StepAuthorise)
	_, err := w.Authorise(t.Context(), events.OrderPlaced{}, payment.AuthoriseRequest{OrderID: w.order.ID, Amount: w.order.Total, Method: "pm_card_mastercard"})
	if !errors.Is(err, payment.ErrConflict) {
		t.Errorf("another method: %v, want ErrConflict", err)
	}
}

// What can't be written down isn't asked for.
func TestNoRecordNoCall(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		w.failing("insert")
		if _, err := w.do(w.t.Context(), name); !payment.Temporary(err) || !strings.Contains(err.Error(), "out of disk") {
			w.t.Errorf("attempt without a database: %v, want its error", err)
		}
		w.wantMoved(s.moves[:len(s.before)]...)
	})
}

// A failure that can't be noted is told all the same, and what it left open is asked
// about.
func TestFailureThatCannotBeNoted(t *testing.T) {
	inEach(t, func(w world, name payment.Step, s step) {
		w.failing("update")
		w.provider.Fault(w.t, `{"after":{"method":"POST","status":502}}`)
		if _, err := w.do(w.t.Context(), name); err == nil || !strings.Contains(err.Error(), "502") {
			w.t.Errorf("attempt: %v, want the provider's error", err)
		}
		w.exec(`drop trigger fail on payment_attempts`)
		w.must(name)
		w.wantLines(string(name)+" -", string(name)+" "+string(s.state)+" by asking")
		w.wantMoved(s.moves...)
	})
}

// A failure is noted also when the time of its delivery is over.
func TestTimeout(t *testing.T) {
	t.Parallel()
	w := open(t)
	held := w.provider.Hold(t, "/v1/payments", true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := w.do(ctx, payment.StepAuthorise); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("attempt: %v, want a timeout", err)
	}
	held.Resume()
	w.wantLines("authorise unknown timeout")
	w.must(payment.StepAuthorise)
	w.wantLines("authorise unknown timeout", "authorise authorised by asking")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := open(t)
	if _, err := w.do(t.Context(), payment.StepCapture); !errors.Is(err, payment.ErrNotFound) {
		t.Errorf("capture of nothing: %v, want ErrNotFound", err)
	}
	_, err := w.Authorise(t.Context(), events.OrderPlaced{}, payment.AuthoriseRequest{OrderID: w.order.ID, Amount: w.order.Total, Method: "pm_of_another"})
	if !errors.Is(err, payment.ErrUnknownMethod) {
		t.Errorf("unknown method: %v, want ErrUnknownMethod", err)
	}
	w.wantLines("capture refused not_found", "authorise refused unknown_method")
	w.order.ID = "no UUID"
	if _, err := w.do(t.Context(), payment.StepRelease); !errors.Is(err, payment.ErrRefused) {
		t.Errorf("an order that is none: %v, want ErrRefused", err)
	}
}

// A release that found nothing has to be made again: something may be under way.
func TestReleaseOfNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.provider.Fault(t, `{"after":{"method":"POST","drop":true,"count":1}}`)
	if _, err := w.do(t.Context(), payment.StepRelease); err == nil {
		t.Error("the answer was to be lost")
	}
	if got := w.must(payment.StepRelease).State; got != payment.StateNone {
		t.Errorf("the payment is %s, want none", got)
	}
	w.wantLines("release unknown connection", "release none")
}

// A database that has lost the record of an attempt has its effect undone, and made again.
func TestRecordThatWasLost(t *testing.T) {
	t.Parallel()
	w := open(t)
	answer, err := w.do(t.Context(), payment.StepAuthorise)
	if err != nil {
		t.Fatal(err)
	}
	w.exec(`alter table payment_attempts disable trigger user`, `delete from payment_attempts`)
	err = pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { return w.Record(t.Context(), tx, answer) })
	if !payment.Temporary(err) {
		t.Errorf("Record of what is lost: %v, want a temporary error", err)
	}
}

// An answer that is none of the ledger's, as to a delivery that asked for nothing.
func TestNothingToRecord(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.record(attempt.Answer{})
	w.wantLines()
}

// What is on record stays so: what was asked for, and what came of it.
func TestAttemptsAreKept(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.must(payment.StepAuthorise)
	if _, err := w.do(t.Context(), payment.StepCapture); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`delete from payment_attempts`, `truncate payment_attempts`,
		`update payment_attempts set outcome = 'declined' where outcome is not null`,
		`update payment_attempts set outcome = null, ended_at = null where outcome is not null`,
		`update payment_attempts set amount = 1 where outcome is null`,
		`update payment_attempts set key = 'another' where outcome is null`,
		`update payment_attempts set started_at = started_at - interval '1 s' where outcome is null`,
	} {
		if _, err := w.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%q was allowed", statement)
		}
	}
}

// Only the record of an attempt waits for no disk: its connection goes on as it was, and
// the effect is as durable as any.
func TestOthersWaitForTheDisk(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.exec(`do $$ begin execute format('alter database %I set synchronous_commit = on', current_database()); end $$`,
		`create table seen (at text)`,
		`create function see() returns trigger language plpgsql as $$
			begin insert into seen values (tg_op || ' ' || current_setting('synchronous_commit')); return new; end $$`,
		`create trigger see before insert or update on payment_attempts for each row execute function see()`)
	w.pool.Reset()
	w.must(payment.StepAuthorise)
	w.provider.Fault(t, `{"before":{"method":"POST","status":500}}`)
	if _, err := w.do(t.Context(), payment.StepCapture); err == nil {
		t.Error("the capture was to fail")
	}
	w.exec(`insert into seen select 'afterwards ' || current_setting('synchronous_commit')`)
	rows, err := w.pool.Query(t.Context(), `select at from seen`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if diff := cmp.Diff([]string{"INSERT off", "UPDATE on", "INSERT off", "UPDATE off", "afterwards on"}, got); diff != "" || err != nil {
		t.Errorf("synchronous_commit (-want +got): %v\n%s", err, diff)
	}
}
