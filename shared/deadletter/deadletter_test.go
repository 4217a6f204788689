package deadletter_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func (w *world) list(filter deadletter.Filter) []int64 {
	w.t.Helper()
	ids := []int64{}
	err := w.desk.Each(w.t.Context(), filter, func(letter deadletter.Letter) error {
		ids = append(ids, letter.ID)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order := stagetest.Place(t, w.pool, events.StatusShipped)
	placed, verified, shipped := w.told(order, events.TypeOrderPlaced), w.told(order, events.TypePaymentVerified), w.told(order, events.TypeOrderShipped)
	a := w.letter(placed, "http://payment-verification.orderflow.svc.cluster.local/", "422", "No such ORDER")
	b := w.letter(verified, "http://127.0.0.1:8103", "503", "no database")
	c := w.letter(shipped, "order-recovery", "", "tried 20 times, not handled by order-analytics")
	d := w.letter(w.told(stagetest.Place(t, w.pool, events.StatusPlaced), events.TypeOrderPlaced), refuser, "503", "no database")
	w.exec(`update dead_letters set state = 'redriven', last_at = '2026-01-01T12:00:00Z' where id = $1`, a)
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		filter deadletter.Filter
		want   []int64
	}{
		"all":               {deadletter.Filter{}, []int64{a, b, c, d}},
		"ids":               {deadletter.Filter{IDs: []int64{d, a}}, []int64{a, d}},
		"open":              {deadletter.Filter{State: deadletter.StateOpen}, []int64{b, c, d}},
		"function":          {deadletter.Filter{Function: "payment-verification"}, []int64{a}},
		"function, address": {deadletter.Filter{Function: "inventory-update"}, []int64{b, d}},
		"function, itself":  {deadletter.Filter{Function: "order-recovery"}, []int64{c}},
		"code":              {deadletter.Filter{Code: "503"}, []int64{b, d}},
		"error":             {deadletter.Filter{Error: "such order"}, []int64{a}},
		"type":              {deadletter.Filter{Type: events.TypeOrderShipped}, []int64{c}},
		"since":             {deadletter.Filter{Since: noon.Add(time.Second)}, []int64{b, c, d}},
		"from noon":         {deadletter.Filter{Since: noon}, []int64{a, b, c, d}},
		"until":             {deadletter.Filter{Until: noon.Add(time.Second)}, []int64{a}},
		"before noon":       {deadletter.Filter{Until: noon}, []int64{}},
		"order":             {deadletter.Filter{Order: order.ID.String()}, []int64{a, b, c}},
		"order, number":     {deadletter.Filter{Order: order.Number}, []int64{a, b, c}},
		"order, none":       {deadletter.Filter{Order: "0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70"}, []int64{}},
		"two of them":       {deadletter.Filter{Code: "503", Order: order.Number}, []int64{b}},
	} {
		if diff := cmp.Diff(test.want, w.list(test.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := w.desk.Each(t.Context(), deadletter.Filter{Order: "OF-NONE"}, nil); !errors.Is(err, deadletter.ErrNoOrder) {
		t.Errorf("letters of no order: %v, want ErrNoOrder", err)
	}
	if got := []string{w.show(a).Function, w.show(b).Function, w.show(c).Function, w.show(d).Function}; !slices.Equal(got, []string{"payment-verification", "inventory-update", "order-recovery", "inventory-update"}) {
		t.Errorf("functions = %q", got)
	}
}

func TestManyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, first := w.verified()
	w.exec(`insert into dead_letters (event_id, event_source, event_type, event, first_at, last_at)
		select n::text, 's', 't', '{}', now(), now() from generate_series(1, 500) n`)
	if ids := w.list(deadletter.Filter{}); len(ids) != 501 || ids[0] != first || !slices.IsSorted(ids) {
		t.Errorf("listed %d letters, want 501 in order", len(ids))
	}
}

func TestShowTellsWhoHasHandled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	order := stagetest.Place(t, w.pool, events.StatusShipped)
	id := w.letter(w.told(order, events.TypePaymentVerified), refuser, "503", "no database\n")
	account := w.show(id)
	if diff := cmp.Diff(deadletter.Prospect{
		OrderID: order.ID.String(), Number: order.Number, Topic: "payment-verified", Happened: "payment-verified",
		Handled: []string{"inventory-update"}, Waiting: []string{"customer-notification", "order-analytics"},
	}, account.Prospect); diff != "" {
		t.Errorf("prospect (-want +got):\n%s", diff)
	}
	if account.Error != "no database" || account.Function != "inventory-update" || account.Code != "503" || account.Times != 1 || account.FirstAt.IsZero() {
		t.Errorf("account = %+v", account)
	}
	if want := string(w.told(order, events.TypePaymentVerified).Data()); account.Payload != want {
		t.Errorf("payload = %s, want %s", account.Payload, want)
	}
	if _, err := w.desk.Show(t.Context(), id+1); !errors.Is(err, deadletter.ErrNoLetter) {
		t.Errorf("Show() of no letter = %v, want ErrNoLetter", err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id := w.verified()
	discard := func(filter deadletter.Filter, act deadletter.Act) (told []deadletter.Result, err error) {
		err = w.desk.Discard(t.Context(), filter, act, false, func(r deadletter.Result) { told = append(told, r) })
		return told, err
	}
	for _, act := range []deadletter.Act{{By: "ada"}, {By: "ada", Reason: " "}, {Reason: "noise"}} {
		_, err := discard(open(id), act)
		wantInvalid(t, err)
	}
	act := deadletter.Act{By: "ada", Reason: "noise"}
	_, err := discard(deadletter.Filter{IDs: []int64{id}}, act)
	wantInvalid(t, err)
	_, err = discard(deadletter.Filter{IDs: []int64{id}, State: deadletter.StateDiscarded}, act)
	wantInvalid(t, err)
	w.wantState(id, deadletter.StateOpen)
	for _, want := range []deadletter.Outcome{deadletter.OutcomeDiscarded, deadletter.OutcomeLeft} {
		if told, err := discard(open(id), act); err != nil || len(told) != 1 || told[0].Outcome != want {
			t.Errorf("discard = %+v, %v, want %s", told, err, want)
		}
	}
	w.wantState(id, deadletter.StateDiscarded)
	if history := w.show(id).History; len(history) != 1 || history[0].Action != "discard" || history[0].By != "ada" || history[0].Reason != "noise" || history[0].EndedAt == nil {
		t.Errorf("history = %+v", history)
	}
}
