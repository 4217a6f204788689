// Package orderstory tells an order's whole life from what the functions have
// written about it: each event and what was done because of it, each transfer of
// money and of units, mail, parcel and label, each attempt that failed, and who did it.
//
// Every effect is held against its cause: an event of the order that the function
// reads, and has handled where it writes both at once. What a person did has none.
// An effect without its cause is told as such; in a healthy system there is none.
//
// The story can be told as of any moment. All times are the database's, so that
// nothing is told before its cause however wrong other clocks are: what the payment
// provider did is told when it was written down.
package orderstory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderstory/internal/store"
)

// The ways in which there is no story.
var (
	// ErrNoOrder says that there is no such order.
	ErrNoOrder = errors.New("no such order")
	// ErrNotYet says that it wasn't placed yet.
	ErrNotYet = errors.New("the order was not placed yet")
)

// Kind is what sort of thing a step is.
type Kind string

// The kinds of steps.
const (
	// KindEvent is an event of the order's life.
	KindEvent Kind = "event"
	// KindHandled says that a function has handled an event and nothing followed.
	KindHandled Kind = "handled"
	KindPayment Kind = "payment"
	KindUnits   Kind = "units"
	KindParcel  Kind = "parcel"
	KindMail    Kind = "mail"
	// KindAttempt is what a function has asked the payment provider for.
	KindAttempt Kind = "attempt"
	// KindEvidence is what a provider has told of a mail or a payment.
	KindEvidence Kind = "evidence"
	// KindRefused says that a function would not take an event.
	KindRefused Kind = "refused"
	// KindLetter says that a person has dealt with a dead letter.
	KindLetter Kind = "letter"
)

// Step is one thing that was done.
type Step struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	Text string    `json:"text"`
	// By is the function, or the person: "the customer", "operator ada".
	By string `json:"by"`
	// Cause is the event because of which it was done; empty for what a person did.
	Cause string `json:"cause,omitempty"`
	// Effect says that it is one that must have a cause; Unexplained says what is
	// wrong with that, and is empty where nothing is.
	Effect      bool   `json:"effect"`
	Unexplained string `json:"unexplained,omitempty"`

	// aspect is what of the order's state it has changed, and value to what.
	aspect, value string
}

// State is how an order stands, or stood.
type State struct {
	Status  string `json:"status"`
	Payment string `json:"payment,omitempty"`
	Units   string `json:"units,omitempty"`
	Parcel  string `json:"parcel,omitempty"`
	// Mails are by what they tell of.
	Mails map[string]string `json:"mails,omitempty"`
	// Waiting are the functions that read an event and hadn't handled it, by event.
	Waiting map[string][]string `json:"waiting,omitempty"`
}

// Story is an order's life up to a moment.
type Story struct {
	ID     string        `json:"id"`
	Number string        `json:"number"`
	Total  events.Money  `json:"total"`
	Lines  []events.Line `json:"lines"`
	// At is the moment; what came after isn't told.
	At    time.Time `json:"at"`
	State State     `json:"state"`
	Steps []Step    `json:"steps"`
	// Effects are how many steps must have a cause, Explained how many have.
	Effects   int `json:"effects"`
	Explained int `json:"explained"`
	// Resends is how often order-recovery has sent again what the order waits for
	// now, and ResendAfter when it does next. They are those of now, at any At.
	Resends     int        `json:"resends,omitempty"`
	ResendAfter *time.Time `json:"resend_after,omitempty"`
}

// Because are the effects of one event, by its name.
func (s Story) Because(event string) []Step {
	effects := []Step{}
	for _, step := range s.Steps {
		if step.Effect && step.Cause == event {
			effects = append(effects, step)
		}
	}
	return effects
}

// record is all that is on record about an order, of one moment.
type record struct {
	order      store.FindOrderRow
	lines      []store.ListLinesRow
	events     []store.ListEventsRow
	payments   []store.ListPaymentsRow
	money      []store.ListMoneyTransfersRow
	units      []store.ListUnitTransfersRow
	shipments  []store.ListShipmentsRow
	mails      []store.ListMailsRow
	mailEvents []store.ListMailEventsRow
	letters    []store.ListLettersRow
	acts       []store.ListActsRow
	deeds      []store.ListDeedsRow

	paymentEvents []store.ListPaymentEventsRow
	attempts      []store.ListAttemptsRow
}

// Tell tells the story of an order, by its id or number, as of a moment; a zero
// one is now. Addresses are those of the functions, as for dead letters. It
// returns ErrNoOrder, ErrNotYet, or the database's error.
func Tell(ctx context.Context, pool *pgxpool.Pool, order string, at time.Time, addresses deadletter.Addresses) (Story, error) {
	var all record
	// Of one moment, so that nothing is told whose cause is left out.
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var err error
		all, err = read(ctx, store.New(tx), order)
		return err
	})
	if err != nil {
		return Story{}, err
	}
	return all.tell(at, addresses)
}

func read(ctx context.Context, queries *store.Queries, order string) (record, error) {
	var all record
	params := store.FindOrderParams{Number: order}
	if id, err := uuid.Parse(order); err == nil {
		params.ID = pgtype.UUID{Bytes: id, Valid: true}
	}
	var err error
	all.order, err = queries.FindOrder(ctx, params)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return all, fmt.Errorf("find order %q: %w", order, ErrNoOrder)
	case err != nil:
		return all, fmt.Errorf("find order: %w", err)
	}
	id := all.order.ID
	err = errors.Join(
		fill(&all.lines, func() ([]store.ListLinesRow, error) { return queries.ListLines(ctx, id) }),
		fill(&all.events, func() ([]store.ListEventsRow, error) { return queries.ListEvents(ctx, id) }),
		fill(&all.payments, func() ([]store.ListPaymentsRow, error) { return queries.ListPayments(ctx, id) }),
		fill(&all.money, func() ([]store.ListMoneyTransfersRow, error) { return queries.ListMoneyTransfers(ctx, id) }),
		fill(&all.units, func() ([]store.ListUnitTransfersRow, error) {
			return queries.ListUnitTransfers(ctx, pgtype.UUID{Bytes: id, Valid: true})
		}),
		fill(&all.shipments, func() ([]store.ListShipmentsRow, error) { return queries.ListShipments(ctx, id) }),
		fill(&all.mails, func() ([]store.ListMailsRow, error) { return queries.ListMails(ctx, id) }),
		fill(&all.mailEvents, func() ([]store.ListMailEventsRow, error) { return queries.ListMailEvents(ctx, id) }),
		fill(&all.paymentEvents, func() ([]store.ListPaymentEventsRow, error) { return queries.ListPaymentEvents(ctx, id) }),
		fill(&all.deeds, func() ([]store.ListDeedsRow, error) { return queries.ListDeeds(ctx, id) }),
		fill(&all.attempts, func() ([]store.ListAttemptsRow, error) { return queries.ListAttempts(ctx, id) }),
		fill(&all.letters, func() ([]store.ListLettersRow, error) { return queries.ListLetters(ctx, id.String()) }),
		fill(&all.acts, func() ([]store.ListActsRow, error) { return queries.ListActs(ctx, id.String()) }),
	)
	if err != nil {
		return all, fmt.Errorf("read order: %w", err)
	}
	return all, nil
}

func fill[T any](rows *[]T, list func() ([]T, error)) error {
	var err error
	*rows, err = list()
	return err
}
