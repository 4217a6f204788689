package stage

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
)

// In is one delivery of an event, as a rule sees it.
type In[T events.Data] struct {
	// ID is the event's id, the same at every delivery.
	ID      string
	OrderID uuid.UUID
	// OccurredAt is when the event happened.
	OccurredAt time.Time
	// Now is the time of this delivery, by the database's clock.
	Now time.Time
	// Status is where the order stands now, which may be further on than where
	// the event left it.
	Status events.Status
	Data   T
}

// None is the answer of a rule that asks nobody.
type None = struct{}

// Step is a rule that takes an order on: it is applied while the order stands
// where the event left it, and may name the next event.
type Step[T events.Data, A any] struct {
	// Ask, where there is one, talks to the outside world before the
	// transaction begins. It may run many times for one event, also long
	// after, so whatever it does carries an idempotency key made of the order.
	// When the order has moved on, In.Status says so.
	Ask func(ctx context.Context, in In[T]) (A, error)
	// Apply changes what the function owns and names the next event, or nil
	// for none. The order is locked. All is committed together or not at all.
	Apply func(ctx context.Context, tx pgx.Tx, in In[T], answer A) (events.Data, error)
	// Late, where there is one, takes the place of Apply when the order has
	// moved on, most often because it was cancelled.
	Late func(ctx context.Context, tx pgx.Tx, in In[T], answer A) error
}

// Observer is a rule that watches and moves nothing. It is applied wherever
// the order stands.
type Observer[T events.Data, A any] struct {
	// Ask is as in Step.
	Ask func(ctx context.Context, in In[T]) (A, error)
	// Apply changes what the function owns, once for each event.
	Apply func(ctx context.Context, tx pgx.Tx, in In[T], answer A) error
}

// Rule is a Step or an Observer.
type Rule interface {
	// accepts is the type of event that the rule is for.
	accepts() string
	// moves tells a Step from an Observer.
	moves() bool
	ask(ctx context.Context, in input) (any, error)
	apply(ctx context.Context, tx pgx.Tx, in input, answer any) (events.Data, error)
	late(ctx context.Context, tx pgx.Tx, in input, answer any) error
}

// input is In before its type is known.
type input = In[events.Data]

func typed[T events.Data](in input) (In[T], error) {
	data, ok := in.Data.(T)
	if !ok {
		return In[T]{}, fmt.Errorf("rule for %T was given %T", data, in.Data)
	}
	return In[T]{ID: in.ID, OrderID: in.OrderID, OccurredAt: in.OccurredAt, Now: in.Now, Status: in.Status, Data: data}, nil
}

func ask[T events.Data, A any](ctx context.Context, in input, f func(context.Context, In[T]) (A, error)) (any, error) {
	var none A
	if f == nil {
		return none, nil
	}
	typedIn, err := typed[T](in)
	if err != nil {
		return none, err
	}
	return f(ctx, typedIn)
}

func typeOf[T events.Data]() string {
	var data T
	return data.Type()
}

func (s Step[T, A]) accepts() string { return typeOf[T]() }

func (s Step[T, A]) moves() bool { return true }

func (s Step[T, A]) ask(ctx context.Context, in input) (any, error) {
	return ask(ctx, in, s.Ask)
}

func (s Step[T, A]) apply(ctx context.Context, tx pgx.Tx, in input, answer any) (events.Data, error) {
	typedIn, err := typed[T](in)
	if err != nil {
		return nil, err
	}
	return s.Apply(ctx, tx, typedIn, answer.(A)) //nolint:forcetypeassert // ask made it
}

func (s Step[T, A]) late(ctx context.Context, tx pgx.Tx, in input, answer any) error {
	if s.Late == nil {
		return nil
	}
	typedIn, err := typed[T](in)
	if err != nil {
		return err
	}
	return s.Late(ctx, tx, typedIn, answer.(A)) //nolint:forcetypeassert // ask made it
}

func (o Observer[T, A]) accepts() string { return typeOf[T]() }

func (o Observer[T, A]) moves() bool { return false }

func (o Observer[T, A]) ask(ctx context.Context, in input) (any, error) {
	return ask(ctx, in, o.Ask)
}

//nolint:unparam // an observer is a Rule that never has a next event
func (o Observer[T, A]) apply(ctx context.Context, tx pgx.Tx, in input, answer any) (events.Data, error) {
	typedIn, err := typed[T](in)
	if err != nil {
		return nil, err
	}
	return nil, o.Apply(ctx, tx, typedIn, answer.(A)) //nolint:forcetypeassert // ask made it
}

func (o Observer[T, A]) late(context.Context, pgx.Tx, input, any) error { return nil }
