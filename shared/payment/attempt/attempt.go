// Package attempt is the only way by which functions have a payment provider move
// money: it keeps a ledger of what the provider was asked for, when, because of what,
// and what came of it, and it never asks twice without asking how things stand first.
//
// # A record before, an answer after
//
// What is about to be asked for is written down before the request is sent, in one
// statement of its own that waits for no disk: it outlives the process, which is what
// dies. Where it can't be written, nothing is asked for. The answer is written by
// Record in the transaction of what follows from it, so neither is there without the
// other, and it costs no commit. An attempt that fails is noted at once as far as
// possible; one of which nobody could is left without an outcome, which means the
// same: nobody knows. So is one whose answer nothing followed from, as its order had
// moved on meanwhile, or another delivery was first.
//
// A database that loses the last moments in a crash, as Postgres may of what nobody
// waited for, can lose such a record with them. Then the same request is made again
// under the same key, and whose answer finds no record of it is made again as well.
//
// # Asked about before it is made again
//
// All attempts at one step of an order have the same idempotency key, and so are one
// to the provider: the answer to one of them settles all. Where the last one has no
// answer, the provider is first asked how the payment stands. If that settles the
// step, it is the answer, and nothing is to be moved. Else the request is made
// again under its key. Deliveries of one order that run beside each other may both do
// so; no lock is held over a call.
//
// A key stands for one request. The ledger keeps a hash of all that was asked for and
// refuses the same key with anything else, before the provider hears of it: a hash
// in the key itself would make a second payment of that.
package attempt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/attempt/internal/store"
	"github.com/orderflow-project/orderflow/shared/payment/gateway"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// Ledger has the payment provider asked, each time on record. It is safe for
// concurrent use.
type Ledger struct {
	rows     *store.Queries
	provider payment.Provider
	source   string
}

// Open returns the ledger of a function, in front of the provider that cfg names. It
// makes no call. An error says which setting is wrong, and never its value.
func Open(pool postgres.Pool, cfg payment.Config, function string) (*Ledger, error) {
	provider, err := gateway.Open(cfg)
	if err != nil {
		return nil, err
	}
	return &Ledger{rows: store.New(pool), provider: provider, source: function}, nil
}

// Answer is how a payment stands by an attempt, of which Record takes note.
type Answer struct {
	payment.Payment

	order uuid.UUID
	id    int64
	// asked says that it is what asking gave, and that no call was made for it.
	asked bool
}

// request is one step of an order as it is asked for.
type request struct {
	step   payment.Step
	key    string
	id     uuid.UUID
	order  payment.Order
	amount events.Money
	method string
	cause  string
}

// Authorise is payment.Provider's, because of an event.
func (l *Ledger) Authorise(ctx context.Context, because events.Data, req payment.AuthoriseRequest) (Answer, error) {
	r, err := requestOf(payment.StepAuthorise, because, payment.Order{ID: req.OrderID, Total: req.Amount})
	if err != nil {
		return Answer{}, err
	}
	r.method = req.Method
	return l.attempt(ctx, r, func() (payment.Payment, error) { return l.provider.Authorise(ctx, req) })
}

// Capture is payment.Provider's, because of an event.
func (l *Ledger) Capture(ctx context.Context, because events.Data, order payment.Order) (Answer, error) {
	r, err := requestOf(payment.StepCapture, because, order)
	if err != nil {
		return Answer{}, err
	}
	return l.attempt(ctx, r, func() (payment.Payment, error) { return l.provider.Capture(ctx, order) })
}

// Release is payment.Provider's, because of an event.
func (l *Ledger) Release(ctx context.Context, because events.Data, order payment.Order) (Answer, error) {
	r, err := requestOf(payment.StepRelease, because, order)
	if err != nil {
		return Answer{}, err
	}
	return l.attempt(ctx, r, func() (payment.Payment, error) { return l.provider.Release(ctx, order) })
}

// Refund is payment.Provider's, because of an event. Each return is a step of its own.
func (l *Ledger) Refund(ctx context.Context, because events.Data, req payment.RefundRequest) (Answer, error) {
	r, err := requestOf(payment.StepRefund, because, req.Order)
	if err != nil {
		return Answer{}, err
	}
	r.key, r.amount = req.Key(), req.Amount
	return l.attempt(ctx, r, func() (payment.Payment, error) { return l.provider.Refund(ctx, req) })
}

func requestOf(step payment.Step, because events.Data, order payment.Order) (request, error) {
	cause := events.NameOf(because)
	if cause == "" {
		return request{}, fmt.Errorf("attempt %s: %w: %q", step, events.ErrUnknownType, because.Type())
	}
	id, err := uuid.Parse(order.ID)
	if err != nil {
		return request{}, fmt.Errorf("attempt %s: %w: the order's id is no UUID", step, payment.ErrRefused)
	}
	return request{step: step, key: step.Key(order.ID), id: id, order: order, amount: order.Total, cause: cause}, nil
}

// hash is of all that the provider is asked for: the key tells the step, the order, and
// the return. The method comes last, as it may be any text.
func (r request) hash() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s\n%s", r.key, r.amount.Amount, r.amount.Currency, r.method))
}

// attempt makes a call, unless it turns out that an earlier one has settled the step.
func (l *Ledger) attempt(ctx context.Context, r request, call func() (payment.Payment, error)) (Answer, error) {
	begun, err := l.begin(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{order: r.id, id: begun.ID}
	if begun.Uncertain {
		if answer.Payment, answer.asked, err = l.settled(ctx, r); err != nil {
			_, failure := classify(err)
			l.fail(ctx, r, begun.ID, unknown, failure) // whatever the reason, it is as unknown as before
			return Answer{}, err
		}
	}
	if answer.asked {
		return answer, nil
	}
	if answer.Payment, err = call(); err != nil {
		outcome, failure := classify(err)
		l.fail(ctx, r, begun.ID, outcome, failure)
		return Answer{}, err
	}
	return answer, nil
}

// begin writes down what is about to be asked for.
func (l *Ledger) begin(ctx context.Context, r request) (store.BeginRow, error) {
	hash := r.hash()
	begun, err := l.rows.Begin(ctx, store.BeginParams{
		OrderID: r.id, Step: string(r.step), Key: r.key, RequestHash: hash[:],
		Amount: r.amount.Amount, Currency: r.amount.Currency, Source: l.source, Cause: r.cause,
	})
	if err != nil {
		return begun, fmt.Errorf("begin attempt to %s: %w", r.step, err)
	}
	if begun.ID == 0 {
		return begun, fmt.Errorf("begin attempt to %s: %w", r.step, payment.ErrConflict)
	}
	return begun, nil
}

// settled asks how the payment stands, and tells whether nothing is left to be moved.
func (l *Ledger) settled(ctx context.Context, r request) (payment.Payment, bool, error) {
	found, err := l.provider.Find(ctx, r.order)
	if err != nil {
		return payment.Payment{}, false, fmt.Errorf("ask before another attempt to %s: %w", r.step, err)
	}
	return found, r.step.SettledBy(found.State), nil
}

// noteWithin bounds how long a failed attempt keeps its delivery waiting for the note of
// it. Both together stay below the time after which func's server cuts a handler off.
const noteWithin = 2 * time.Second

// fail notes that an attempt failed. It never hides why: an attempt that can't be
// noted is left without an outcome, and is asked about as well.
func (l *Ledger) fail(ctx context.Context, r request, id int64, outcome, failure string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin) // the delivery's time may be over
	defer cancel()
	_ = l.rows.Fail(ctx, store.FailParams{OrderID: r.id, ID: id, Outcome: outcome, Failure: failure}) // see above
}

// errNoRecord says that the database has lost what nobody waited for.
var errNoRecord = errors.New("the attempt is not on record")

// Record writes down what the provider has answered, in the transaction of what
// follows from it. An Answer that isn't of the ledger is none of its business.
func (l *Ledger) Record(ctx context.Context, tx pgx.Tx, answer Answer) error {
	if answer.id == 0 {
		return nil
	}
	ended, err := l.rows.WithTx(tx).End(ctx, store.EndParams{
		OrderID: answer.order, ID: answer.id, Outcome: string(answer.State), Asked: answer.asked, ProviderID: postgres.OrNull(answer.ID),
	})
	if err != nil {
		return fmt.Errorf("record attempt: %w", err)
	}
	if ended == 0 {
		return fmt.Errorf("record attempt: %w", errNoRecord)
	}
	return nil
}
