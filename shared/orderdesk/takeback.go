package orderdesk

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderdesk/internal/store"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// TakeBack takes back what was shipped of an order, and has money given back for it.
// It returns ErrInvalid, ErrNoOrder, ErrNotShipped, ErrCancelled, ErrUnits, ErrMoney or
// ErrReference, and then has changed nothing.
func (d *Desk) TakeBack(ctx context.Context, order uuid.UUID, back Return, act Act) (Done, error) {
	back.Lines = slices.SortedFunc(slices.Values(back.Lines), func(a, b events.ReturnedLine) int {
		return cmp.Or(cmp.Compare(a.SKU, b.SKU), compareBool(a.Restocked, b.Restocked))
	})
	if err := back.check(act); err != nil {
		return Done{}, fmt.Errorf("take back: %w", err)
	}
	done, err := d.act(ctx, order, act, takeback{back})
	if err != nil {
		return Done{}, fmt.Errorf("take back: %w", err)
	}
	return done, nil
}

// compareBool has true come first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// check looks at what can be told without the order.
func (r Return) check(act Act) error {
	if strings.TrimSpace(act.Reference) == "" {
		return fmt.Errorf("%w: it needs a reference, by which it is known again", ErrInvalid)
	}
	if !slices.Contains(events.ReturnReasons(), r.Reason) {
		return fmt.Errorf("%w: %q is no reason for a return", ErrInvalid, r.Reason)
	}
	if r.Refund.Amount <= 0 {
		return fmt.Errorf("%w: a refund of %s", ErrInvalid, r.Refund)
	}
	for i, line := range r.Lines {
		switch {
		case line.Quantity <= 0 || line.Quantity > math.MaxInt32:
			return fmt.Errorf("%w: %d %s", ErrInvalid, line.Quantity, line.SKU)
		case i > 0 && line.SKU == r.Lines[i-1].SKU && line.Restocked == r.Lines[i-1].Restocked:
			return fmt.Errorf("%w: %s is named twice", ErrInvalid, line.SKU)
		}
	}
	return nil
}

// takeback is a return as a deed.
type takeback struct{ Return }

func (takeback) action() string { return "take_back" }

func (t takeback) is(told events.Data) bool {
	known, is := told.(events.OrderReturned)
	return is && known.Reason == t.Reason && known.Refund == t.Refund && slices.Equal(known.Lines, t.Lines)
}

func (t takeback) do(
	ctx context.Context, tx pgx.Tx, order uuid.UUID, status events.Status, about store.DescribeOrderRow, trace string,
) (orderlog.Entry, error) {
	switch status {
	case events.StatusShipped:
	case events.StatusCancelled:
		return orderlog.Entry{}, ErrCancelled
	default:
		return orderlog.Entry{}, ErrNotShipped
	}
	queries := store.New(tx)
	before, err := returnsOf(ctx, queries, order)
	if err != nil {
		return orderlog.Entry{}, err
	}
	if err := t.checkMoney(about, before); err != nil {
		return orderlog.Entry{}, err
	}
	if err := t.checkUnits(ctx, queries, order, before); err != nil {
		return orderlog.Entry{}, err
	}
	return t.tell(ctx, tx, order, about, len(before)+1, trace)
}

// earlier is a return that happened before.
type earlier struct {
	events.OrderReturned

	carriedOut bool
}

func returnsOf(ctx context.Context, queries *store.Queries, order uuid.UUID) ([]earlier, error) {
	rows, err := queries.ListReturns(ctx, order)
	if err != nil {
		return nil, fmt.Errorf("list returns: %w", err)
	}
	var all []earlier
	for _, row := range rows {
		told, err := events.Decode(events.TypeOrderReturned, row.Data)
		if err != nil {
			return nil, fmt.Errorf("list returns: %w", err)
		}
		returned, _ := told.(events.OrderReturned)
		all = append(all, earlier{returned, row.CarriedOut})
	}
	return all, nil
}

// checkMoney holds the refund against what is kept by our books, less what is on its
// way back.
func (t takeback) checkMoney(about store.DescribeOrderRow, before []earlier) error {
	if t.Refund.Currency != about.Currency {
		return fmt.Errorf("%w: a refund of %s, and the order was paid in %s", ErrInvalid, t.Refund, about.Currency)
	}
	left := events.Money{Currency: about.Currency}
	if about.PaymentState == "captured" {
		left.Amount = about.Kept
	}
	for _, one := range before {
		if !one.carriedOut {
			left.Amount -= one.Refund.Amount
		}
	}
	if t.Refund.Amount > left.Amount {
		return fmt.Errorf("%w: a refund of %s, and %s of %s is left", ErrMoney, t.Refund, left,
			events.Money{Amount: about.TotalAmount, Currency: about.Currency})
	}
	return nil
}

// checkUnits holds what comes back against what was shipped, less what came back before.
func (t takeback) checkUnits(ctx context.Context, queries *store.Queries, order uuid.UUID, before []earlier) error {
	shipped, err := queries.ListShipped(ctx, order)
	if err != nil {
		return fmt.Errorf("list what was shipped: %w", err)
	}
	out := map[string]int{}
	for _, row := range shipped {
		out[row.Sku] = int(row.Quantity)
	}
	for _, one := range before {
		for _, line := range one.Lines {
			out[line.SKU] -= line.Quantity
		}
	}
	for _, line := range t.Lines {
		if out[line.SKU] -= line.Quantity; out[line.SKU] < 0 {
			return fmt.Errorf("%w: %d %s, and %d of it", ErrUnits, line.Quantity, line.SKU, out[line.SKU]+line.Quantity)
		}
	}
	return nil
}

func (t takeback) tell(
	ctx context.Context, tx pgx.Tx, order uuid.UUID, about store.DescribeOrderRow, number int, trace string,
) (orderlog.Entry, error) {
	told := events.OrderReturned{
		OrderID: order.String(), Number: about.Number, ReturnNumber: number, Reason: t.Reason, Lines: t.Lines, Refund: t.Refund,
		Total: events.Money{Amount: about.TotalAmount, Currency: about.Currency},
	}
	if told.Lines == nil {
		told.Lines = []events.ReturnedLine{}
	}
	if err := told.Validate(); err != nil {
		return orderlog.Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	entry := orderlog.Entry{OrderID: order, Name: events.NameOf(told), Source: source, TraceParent: trace, Data: told, OccurredAt: about.Now.UTC()}
	if err := orderlog.Append(ctx, tx, entry); err != nil {
		return entry, err
	}
	if err := store.New(tx).Reopen(ctx, store.ReopenParams{OrderID: order, At: about.Now}); err != nil {
		return entry, fmt.Errorf("reopen order: %w", err)
	}
	return entry, nil
}
