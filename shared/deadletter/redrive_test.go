package deadletter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func TestRedriveSendsTheVeryEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order := stagetest.Place(t, w.pool, events.StatusPaymentVerified)
	want := w.told(order, events.TypePaymentVerified)
	id := w.letter(want, refuser, "503", "no database")
	wantOutcome(t, w.mustRedrive(open(id), by("it is back"))[id], deadletter.OutcomeSent, "")
	sent := w.sink.Sent()
	if len(sent) != 1 || sent[0].Sink != "payment-verified" {
		t.Fatalf("sent %+v, want one event to payment-verified", sent)
	}
	if diff := cmp.Diff(want.Context, sent[0].Event.Context); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(string(want.Data()), string(sent[0].Event.Data())); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	account := w.show(id)
	if account.State != deadletter.StateRedriven || len(account.History) != 1 {
		t.Fatalf("account = %+v, want it redriven once", account)
	}
	done := account.History[0]
	if done.Action != "redrive" || done.By != "ada" || done.Reason != "it is back" || done.Outcome != deadletter.OutcomeSent || done.EndedAt == nil || done.Sent != "" {
		t.Errorf("history = %+v", done)
	}
}

func TestRedriveTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	w.mustRedrive(open(id), by(""))
	wantOutcome(t, w.mustRedrive(open(id), by(""))[id], deadletter.OutcomeLeft, "it is redriven")
	if results := w.mustRedrive(open(), by("")); len(results) != 0 {
		t.Errorf("redrive of all that is open told of %v, want nothing", results)
	}
	if sent := len(w.sink.Sent()); sent != 1 {
		t.Errorf("%d events sent, want 1", sent)
	}
	// Whoever means it says so.
	again := deadletter.Filter{IDs: []int64{id}, State: deadletter.StateRedriven}
	wantOutcome(t, w.mustRedrive(again, by(""))[id], deadletter.OutcomeSent, "")
	if sent, history := len(w.sink.Sent()), len(w.show(id).History); sent != 2 || history != 2 {
		t.Errorf("%d events sent and %d times on record, want 2 and 2", sent, history)
	}
}

func TestTwentyAtOnceSendEachOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const letters, people = 100, 20
	for range letters {
		w.verified()
	}
	var sent atomic.Int64
	var group sync.WaitGroup
	for range people {
		group.Go(func() {
			err := w.desk.Redrive(t.Context(), w.to, open(), by(""), func(r deadletter.Result) {
				switch r.Outcome {
				case deadletter.OutcomeSent:
					sent.Add(1)
				case deadletter.OutcomeLeft:
				default:
					t.Errorf("letter %d: %s, %s", r.Letter.ID, r.Outcome, r.Why)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if sent.Load() != letters || len(w.sink.Sent()) != letters || len(w.sink.IDs()) != letters {
		t.Errorf("told of %d, sent %d events of %d orders, want each of %d once", sent.Load(), len(w.sink.Sent()), len(w.sink.IDs()), letters)
	}
}

// Whoever dies after the sink has the event, and before that is written down,
// leaves the letter open, to others after a while, and a trace of it.
func TestCrashBetweenSendAndRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	w.exec(`create function die() returns trigger language plpgsql as $$ begin raise 'the database is gone'; end $$`)
	w.exec(`create trigger die before update on dead_letter_acts for each row execute function die()`)
	if _, err := w.redrive(t.Context(), w.to, open(id), by("first")); err == nil || !strings.Contains(err.Error(), "left open") {
		t.Errorf("redrive = %v, want an error that says what becomes of it", err)
	}
	w.exec(`drop trigger die on dead_letter_acts`)
	w.wantState(id, deadletter.StateOpen)
	wantOutcome(t, w.mustRedrive(open(id), by("too early"))[id], deadletter.OutcomeLeft, "somebody else is redriving it")
	w.exec(`update dead_letters set redriving_until = redriving_until - interval '1 minute'`)
	wantOutcome(t, w.mustRedrive(open(id), by("second"))[id], deadletter.OutcomeSent, "")
	w.wantState(id, deadletter.StateRedriven)
	if sent, ids := len(w.sink.Sent()), len(w.sink.IDs()); sent != 2 || ids != 1 {
		t.Errorf("%d events of %d ids sent, want the same one twice", sent, ids)
	}
	history := w.show(id).History
	if len(history) != 2 || history[0].Outcome != "" || history[0].Reason != "first" || history[1].Outcome != deadletter.OutcomeSent {
		t.Errorf("history = %+v, want one that never ended and one that was sent", history)
	}
}

func TestSinkDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	w.sink.SetDown(true)
	wantOutcome(t, w.mustRedrive(open(id), by(""))[id], deadletter.OutcomeFailed, "send to sink payment-verified: status 503 down\n")
	w.wantState(id, deadletter.StateOpen)
	w.sink.SetDown(false)
	wantOutcome(t, w.mustRedrive(open(id), by(""))[id], deadletter.OutcomeSent, "") // at once
	history := w.show(id).History
	if len(history) != 2 || history[0].Outcome != deadletter.OutcomeFailed || history[0].Error == "" {
		t.Errorf("history = %+v, want a failure and a success", history)
	}
}

func TestManyWithTheSinkDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 130 {
		w.verified()
	}
	w.sink.SetDown(true)
	results, err := w.redrive(t.Context(), w.to, open(), by(""))
	if !errors.Is(err, deadletter.ErrDown) || len(results) >= 130 {
		t.Errorf("%d letters tried, %v, want it to give up with ErrDown", len(results), err)
	}
	w.sink.SetDown(false)
	if results := w.mustRedrive(open(), by("")); len(results) != 130 || len(w.sink.IDs()) != 130 {
		t.Errorf("%d letters redriven, %d sent, want 130", len(results), len(w.sink.IDs()))
	}
}

func TestDiscardedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, polite := w.verified()
	_, forced := w.verified()
	to := meddler(t, func() {
		err := w.desk.Discard(t.Context(), open(polite), deadletter.Act{By: "bob", Reason: "noise"}, false, func(r deadletter.Result) {
			if r.Outcome != deadletter.OutcomeLeft {
				t.Errorf("discard of what is on its way: %+v, want it to be left", r)
			}
		})
		if err != nil {
			t.Error(err)
		}
		// As after the time that a letter is left to who redrives it.
		if _, err := w.pool.Exec(t.Context(), `update dead_letters set state = 'discarded' where id = $1`, forced); err != nil {
			t.Error(err)
		}
	})
	results, err := w.redrive(t.Context(), to, open(polite, forced), by(""))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcome(t, results[polite], deadletter.OutcomeSent, "")
	wantOutcome(t, results[forced], deadletter.OutcomeSent, "")
	w.wantState(polite, deadletter.StateRedriven)
	w.wantState(forced, deadletter.StateDiscarded)
	if history := w.show(forced).History; len(history) != 1 || history[0].Outcome != deadletter.OutcomeSent {
		t.Errorf("history = %+v, want what was done all the same", history)
	}
}

func TestDiscardedBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	w.exec(`update dead_letters set state = 'discarded'`)
	wantOutcome(t, w.mustRedrive(open(id), by(""))[id], deadletter.OutcomeLeft, "it is discarded")
	if results := w.mustRedrive(open(), by("")); len(results)+len(w.sink.Sent()) != 0 {
		t.Errorf("redriven: %v, want nothing", results)
	}
}

// A reader may refuse the event again before it is written down that it was sent.
func TestComesAgainMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	to := meddler(t, func() {
		if _, err := w.pool.Exec(t.Context(), `update dead_letters set times = times + 1`); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.redrive(t.Context(), to, open(id), by("")); err != nil {
		t.Fatal(err)
	}
	w.wantState(id, deadletter.StateOpen)
}

func TestWhatEveryFunctionWouldRefuseIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	placed := w.told(order, events.TypeOrderPlaced)
	unknown := placed.Clone()
	unknown.SetType("orderflow.order.placed.v2")
	other := placed.Clone()
	other.SetData("application/json", events.OrderPlaced{OrderID: order.ID.String(), Number: order.Number, Lines: order.Lines[:1], Total: events.Money{Amount: 2500, Currency: "EUR"}})
	other.SetID("other")
	broken := placed.Clone()
	broken.SetData("application/json", []byte(`{"order_id":`))
	broken.DataBase64 = true
	broken.SetID("broken")
	nobody := w.told(stagetest.Order{ID: [16]byte{1}, Number: order.Number, Lines: order.Lines, Total: order.Total}, events.TypeOrderPlaced)
	for id, want := range map[int64]string{
		w.letter(unknown, refuser, "422", ""):                                `no topic has events of type "orderflow.order.placed.v2"`,
		w.letter(nobody, refuser, "422", ""):                                 "there is no such order",
		w.letter(w.told(order, events.TypeOrderShipped), refuser, "422", ""): "no such thing has happened to the order",
		w.letter(other, refuser, "422", ""):                                  "the order's history says otherwise",
		w.letter(broken, refuser, "400", ""):                                 "its data aren't those of its type: decode orderflow.order.placed.v1: unexpected end of JSON input",
		w.keep(placed, []byte(`{"id":"1"}`), "a", "", ""):                    "what came is no CloudEvent",
		w.keep(placed, []byte("\x00\xff"), "b", "", ""):                      "what came is no CloudEvent",
	} {
		wantOutcome(t, w.mustRedrive(open(id), by(""))[id], deadletter.OutcomeRefused, want)
		w.wantState(id, deadletter.StateOpen)
		if history := w.show(id).History; len(history) != 0 {
			t.Errorf("history of what wasn't sent: %+v", history)
		}
	}
	if sent := w.sink.Sent(); len(sent) != 0 {
		t.Errorf("sent %+v, want nothing", sent)
	}
	for _, filter := range []deadletter.Filter{open(12345), {IDs: []int64{12345}, State: deadletter.StateRedriven}} {
		if _, err := w.redrive(t.Context(), w.to, filter, by("")); !errors.Is(err, deadletter.ErrNoLetter) {
			t.Errorf("redrive of no letter = %v, want ErrNoLetter", err)
		}
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order := stagetest.Place(t, w.pool, events.StatusPlaced)
	broken := w.told(order, events.TypeOrderPlaced)
	broken.SetData("application/json", []byte(`{"order_id":`))
	broken.DataBase64 = true
	id := w.letter(broken, refuser, "400", "decode")
	var before []byte
	if err := w.pool.QueryRow(t.Context(), `select event from dead_letters`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	good := w.told(order, events.TypeOrderPlaced)
	edit := func(data, reason string) (deadletter.Result, error) {
		how := by(reason)
		how.Data = []byte(data)
		results, err := w.redrive(t.Context(), w.to, open(id), how)
		return results[id], err
	}
	_, err := edit(string(good.Data()), " ")
	wantInvalid(t, err)
	for data, why := range map[string]string{
		`{"order_id":`: "its data aren't those of its type: decode orderflow.order.placed.v1: unexpected end of JSON input",
		`{}`:           "its data aren't those of its type: validate orderflow.order.placed.v1: order_id: missing\nnumber: missing\nlines: empty",
		strings.Replace(string(good.Data()), order.ID.String(), "0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70", 1): "the order's history says otherwise",
	} {
		result, err := edit(data, "mend it")
		if err != nil {
			t.Fatal(err)
		}
		wantOutcome(t, result, deadletter.OutcomeRefused, why)
	}
	if sent := w.sink.Sent(); len(sent) != 0 {
		t.Fatalf("sent %+v, want nothing yet", sent)
	}
	result, err := edit(string(good.Data()), "mend it")
	if err != nil || !result.Edited {
		t.Errorf("edited: %t, %v", result.Edited, err)
	}
	wantOutcome(t, result, deadletter.OutcomeSent, "")
	sent := w.sink.Sent()[0].Event
	if diff := cmp.Diff(good.Context, sent.Context); diff != "" || string(sent.Data()) != string(good.Data()) {
		t.Errorf("sent %s (-want +got):\n%s", sent.Data(), diff)
	}
	var after, edited []byte
	if err := w.pool.QueryRow(t.Context(), `select event, data from dead_letters l join dead_letter_acts a on a.letter_id = l.id`).Scan(&after, &edited); err != nil {
		t.Fatal(err)
	}
	if string(after) != string(before) || string(edited) != string(good.Data()) {
		t.Errorf("kept %s and %s, want the original and the edit", after, edited)
	}
	if done := w.show(id).History[0]; done.By != "ada" || done.Reason != "mend it" || done.Sent != string(good.Data()) {
		t.Errorf("history = %+v, want who, why and what", done)
	}
}

func TestAsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order, right := w.verified()
	broken := w.told(order, events.TypePaymentVerified)
	broken.SetID("broken")
	broken.SetData("application/json", []byte(`{}`))
	wrong := w.letter(broken, refuser, "400", "decode")
	how := by("as it was")
	how.Recorded = true
	results := w.mustRedrive(open(), how)
	if results[right].Edited || !results[wrong].Edited || results[wrong].Outcome != deadletter.OutcomeSent {
		t.Errorf("results = %+v, want the wrong one edited and sent", results)
	}
	for _, sent := range w.sink.Sent() {
		if data, err := events.Decode(sent.Event.Type(), sent.Event.Data()); err != nil || !cmp.Equal(data, order.Data(events.TypePaymentVerified)) {
			t.Errorf("sent %s (%v), want what happened", sent.Event.Data(), err)
		}
	}
}

func TestWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data, both, back, slow := by("r"), by("r"), by("r"), by("r")
	data.Data, both.Data, both.Recorded, back.Rate, slow.Rate = []byte("{}"), []byte("{}"), true, -1, 0.05
	recorded := by("")
	recorded.Recorded = true
	for name, how := range map[string]deadletter.Redrive{"edit of many": data, "two edits": both, "negative rate": back, "too slow": slow, "no reason": recorded, "nobody": {}} {
		if _, err := w.redrive(t.Context(), w.to, open(), how); !errors.Is(err, deadletter.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	_, err := w.redrive(t.Context(), w.to, deadletter.Filter{}, by(""))
	wantInvalid(t, err)
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	before := w.everything()
	how := by("")
	how.DryRun = true
	result := w.mustRedrive(open(), how)[id]
	if result.Outcome != deadletter.OutcomeSent || !result.DryRun || !cmp.Equal(result.Letter.Waiting, []string{"inventory-update", "customer-notification", "order-analytics"}) {
		t.Errorf("dry run told %+v", result)
	}
	err := w.desk.Discard(t.Context(), open(), deadletter.Act{By: "ada", Reason: "noise"}, true, func(r deadletter.Result) {
		if r.Outcome != deadletter.OutcomeDiscarded || !r.DryRun {
			t.Errorf("dry run of a discard told %+v", r)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, w.everything()); diff != "" || len(w.sink.Sent()) != 0 {
		t.Errorf("a dry run has sent %d events and changed:\n%s", len(w.sink.Sent()), diff)
	}
}

func (w *world) everything() string {
	w.t.Helper()
	var all string
	err := w.pool.QueryRow(w.t.Context(), `select coalesce(string_agg(l::text, E'\n' order by l.id), '')
		|| (select coalesce(string_agg(a::text, E'\n' order by a.id), '') from dead_letter_acts a) from dead_letters l`).Scan(&all)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func TestRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const letters, perSecond = 6, 20
	for range letters {
		w.verified()
	}
	how := by("")
	how.Rate = perSecond
	began := time.Now()
	w.mustRedrive(open(), how)
	if least := (letters - 1) * time.Second / perSecond; time.Since(began) < least || len(w.sink.Sent()) != letters {
		t.Errorf("%d events in %s, want %d in at least %s", len(w.sink.Sent()), time.Since(began), letters, least)
	}
}

// Ctrl-C ends a redrive; what wasn't sent is written down as such, and free at once.
func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 40 {
		w.verified()
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	how := by("")
	how.Rate = 5
	results, err := w.redrive(ctx, meddler(t, stop), open(), how)
	if !errors.Is(err, context.Canceled) || len(results) >= 40 {
		t.Errorf("%d letters, %v, want it to stop", len(results), err)
	}
	again := w.mustRedrive(open(), by(""))
	for id, result := range again {
		if result.Outcome != deadletter.OutcomeSent {
			t.Errorf("letter %d afterwards: %s, %s, want it sent", id, result.Outcome, result.Why)
		}
	}
	if len(again) < 39 {
		t.Errorf("%d letters redriven afterwards, want all that weren't sent", len(again))
	}
	for id, result := range results {
		if result.Outcome == deadletter.OutcomeFailed && len(w.show(id).History) != 2 {
			t.Errorf("history of letter %d = %+v, want both times", id, w.show(id).History)
		}
	}
}
