package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// The audit finds that a figure isn't what it derives from; a repair makes it so.
// What a figure derives from was written by others, and says all that is needed: the
// stock derives from its journal, an order's units from its history and lines, its
// payment from the provider's record and ledger together. Where they don't suffice,
// or contradict each other, nothing is repaired: that needs a person.

// repairing says whether and how.
type repairing struct {
	// mode is "ask" or "yes".
	mode string
	sign signature
	// ask asks whoever sits at the terminal; nil where nobody does.
	ask func() bool
}

// signature is who repairs, and why.
type signature struct{ by, reason string }

// change is one figure as it is, and as it is to be.
type change struct {
	subject, figure, was, becomes, because string
}

func (c change) String() string {
	return fmt.Sprintf("%-20s %-28s %s → %s, %s", c.subject, c.figure, c.was, c.becomes, c.because)
}

// remedy is what is to be done about one subject, all or nothing.
type remedy interface {
	changes() []change
	// ready looks outside once more, before a transaction begins.
	ready(ctx context.Context) error
	// apply looks again under lock, and sets right what is wrong in the same way as
	// before, else it returns errElsewhere. It says what it has changed.
	apply(ctx context.Context, tx pgx.Tx) ([]change, error)
}

// errElsewhere says that somebody has moved what was to be repaired.
var errElsewhere = errors.New("it has changed meanwhile")

// plan is what is to be done, and what is left to people, each with why.
type plan struct {
	remedies []remedy
	unsure   []string
}

// repair shows what it would do about what was found, and does it where that is
// approved. It tells whether it has.
func repair(ctx context.Context, db *pgx.Conn, set settings, wrong found, how repairing, out io.Writer) (bool, error) {
	planned, err := draw(ctx, db, payment.NewClient(set.Provider, set.ProviderKey, nil), wrong.view, wrong.world)
	if err != nil {
		return false, err
	}
	planned.print(out)
	if !planned.approved(how, out) {
		return false, nil
	}
	return true, planned.apply(ctx, db, how.sign, out)
}

// draw makes a plan of what was found. Stock comes after orders' units, as it derives
// from the journal that those correct.
func draw(ctx context.Context, db *pgx.Conn, provider *payment.Client, v view, w world) (plan, error) {
	var p plan
	err := inSnapshot(ctx, db, func(tx pgx.Tx) error {
		doubtful, moves, err := p.units(ctx, tx)
		if err != nil {
			return err
		}
		return p.stock(ctx, tx, doubtful, moves)
	})
	p.payments(provider, v, w)
	return p, err
}

func (p *plan) print(out io.Writer) {
	fmt.Fprintln(out, "\nTo be repaired:")
	for _, one := range p.remedies {
		for _, c := range one.changes() {
			fmt.Fprintln(out, "  ", c)
		}
	}
	if len(p.remedies) == 0 {
		fmt.Fprintln(out, "   nothing")
	}
	if len(p.unsure) > 0 {
		fmt.Fprintln(out, "Left to a person, since it doesn't follow from anything:")
		for _, why := range p.unsure {
			fmt.Fprintln(out, "  ", why)
		}
	}
}

// approved asks, where it takes asking.
func (p *plan) approved(how repairing, out io.Writer) bool {
	switch {
	case len(p.remedies) == 0:
		return false
	case how.mode == "yes":
		return true
	case how.ask == nil:
		fmt.Fprintln(out, "Nothing is repaired: there is nobody to ask. REPAIR=yes repairs it.")
		return false
	}
	fmt.Fprint(out, "Repair it? Type yes: ")
	if how.ask() {
		return true
	}
	fmt.Fprintln(out, "Nothing is repaired.")
	return false
}

// apply does what was planned, one subject after the other, and tells of each.
func (p *plan) apply(ctx context.Context, db *pgx.Conn, sign signature, out io.Writer) error {
	for _, one := range p.remedies {
		subject := one.changes()[0].subject
		err := one.ready(ctx)
		if err == nil {
			err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return mend(ctx, tx, one, sign) })
		}
		var refused *pgconn.PgError
		switch {
		case err == nil:
			fmt.Fprintf(out, "repaired %s\n", subject)
		case errors.Is(err, errElsewhere):
			fmt.Fprintf(out, "left     %s: %v\n", subject, err)
		case errors.As(err, &refused) && refused.Code == lockNotAvailable:
			fmt.Fprintf(out, "left     %s: somebody else is at work on it\n", subject)
		case errors.As(err, &refused) && strings.HasPrefix(refused.Code, "23"):
			// A constraint knows better than the plan.
			fmt.Fprintf(out, "left     %s: needs a person: %s\n", subject, refused.Message)
		default:
			return fmt.Errorf("repair %s: %w", subject, err)
		}
	}
	return nil
}

// lockNotAvailable is how Postgres says that a lock was waited for in vain.
const lockNotAvailable = "55P03"

// mend applies a remedy, and puts it on record. What the journals have to say of it
// carries the same signature.
func mend(ctx context.Context, tx pgx.Tx, one remedy, sign signature) error {
	if _, err := tx.Exec(ctx, `select set_config('orderflow.actor', $1, true), set_config('orderflow.reason', $2, true),
		set_config('lock_timeout', '5s', true)`, sign.by, sign.reason); err != nil {
		return err
	}
	changed, err := one.apply(ctx, tx)
	if err != nil {
		return err
	}
	for _, c := range changed {
		if _, err := tx.Exec(ctx, `insert into repairs (subject, figure, was, became, because, actor, reason) values ($1, $2, $3, $4, $5, $6, $7)`,
			c.subject, c.figure, c.was, c.becomes, c.because, sign.by, sign.reason); err != nil {
			return fmt.Errorf("put on record: %w", err)
		}
	}
	return nil
}

// rows reads a query into structs, by the order of their fields.
func rows[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	found, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByPos[T])
}

// stockRow is an article's figures, and what they derive from.
type stockRow struct {
	SKU                                    string
	OnHand, Reserved, Shipped              int64
	OnHandDue, ReservedDue, ShippedDue     int64
	CameAsJournalled, AdjustedAsJournalled bool
}

const stockDue = `
with moved as (
    select sku, credit as account, quantity from stock_transfers where $1 = '' or sku = $1
    union all
    select sku, debit, -quantity from stock_transfers where $1 = '' or sku = $1
), balance as (
    select sku, coalesce(sum(quantity) filter (where account in ('available', 'reserved')), 0)::bigint as on_hand,
           coalesce(sum(quantity) filter (where account = 'reserved'), 0)::bigint as reserved,
           coalesce(sum(quantity) filter (where account = 'shipped'), 0)::bigint as shipped,
           -coalesce(sum(quantity) filter (where account = 'supplier'), 0)::bigint as came,
           -coalesce(sum(quantity) filter (where account = 'adjusted'), 0)::bigint as adjusted
    from moved
    group by sku
)
select s.sku, s.on_hand, s.reserved, s.shipped, b.on_hand, b.reserved, b.shipped + s.returned,
       b.came = s.opening + s.received, b.adjusted = s.adjusted
from stock s join balance b using (sku)
where ($1 = '' or s.sku = $1)
  and (s.sku = any ($2)
    or (s.on_hand, s.reserved, s.shipped - s.returned, s.opening + s.received, s.adjusted) <> (b.on_hand, b.reserved, b.shipped, b.came, b.adjusted))
order by s.sku`

// stock plans to set each article's figures to what its journal comes to, once the
// repairs of orders have moved it, unless orders with a claim to it are doubtful.
func (p *plan) stock(ctx context.Context, tx pgx.Tx, doubtful map[string]bool, moves map[string]unitsMove) error {
	found, err := rows[stockRow](ctx, tx, stockDue, "", slices.Collect(maps.Keys(moves)))
	if err != nil {
		return fmt.Errorf("plan stock: %w", err)
	}
	for _, row := range found {
		subject, move := "stock "+row.SKU, moves[row.SKU]
		row.OnHandDue, row.ReservedDue, row.ShippedDue = row.OnHandDue-move.gone, row.ReservedDue+move.inHand, row.ShippedDue+move.gone
		switch {
		case !row.CameAsJournalled || !row.AdjustedAsJournalled:
			p.unsure = append(p.unsure, subject+": what came or was adjusted isn't what its journal says: count it")
		case !row.sane():
			p.unsure = append(p.unsure, subject+": its journal comes to less than nothing: count it")
		case row.drift() == [3]int64{}:
		case doubtful[row.SKU]:
			p.unsure = append(p.unsure, subject+": it is reserved by an order that needs a person")
		default:
			p.remedies = append(p.remedies, stockRemedy{row})
		}
	}
	return nil
}

func (row stockRow) sane() bool {
	return row.ReservedDue >= 0 && row.ReservedDue <= row.OnHandDue && row.ShippedDue >= 0
}

type stockRemedy struct{ stockRow }

func (r stockRemedy) changes() []change {
	var all []change
	for _, f := range []struct {
		name     string
		was, due int64
	}{{"on_hand", r.OnHand, r.OnHandDue}, {"reserved", r.Reserved, r.ReservedDue}, {"shipped", r.Shipped, r.ShippedDue}} {
		if f.was != f.due {
			all = append(all, change{"stock " + r.SKU, f.name, fmt.Sprint(f.was), fmt.Sprint(f.due), "what its journal comes to"})
		}
	}
	return all
}

func (r stockRemedy) ready(context.Context) error { return nil }

// apply takes the figures as they are now: orders go on, and a figure that is 3 too
// high stays so while they do.
func (r stockRemedy) apply(ctx context.Context, tx pgx.Tx) ([]change, error) {
	if _, err := tx.Exec(ctx, `select from stock where sku = $1 for no key update`, r.SKU); err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	found, err := rows[stockRow](ctx, tx, stockDue, r.SKU, []string{})
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	if len(found) != 1 || found[0].drift() != r.drift() || !found[0].sane() {
		return nil, errElsewhere
	}
	now := stockRemedy{found[0]}
	_, err = tx.Exec(ctx, `update stock set on_hand = $2, reserved = $3, shipped = $4 where sku = $1`, now.SKU, now.OnHandDue, now.ReservedDue, now.ShippedDue)
	return now.changes(), err
}

// drift is by how much each figure is wrong.
func (row stockRow) drift() [3]int64 {
	return [3]int64{row.OnHand - row.OnHandDue, row.Reserved - row.ReservedDue, row.Shipped - row.ShippedDue}
}
