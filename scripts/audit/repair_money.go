package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// payments plans to have our record and our journal say what the provider's record
// and ledger agree on, where that is what the order's status asks for.
func (p *plan) payments(provider *payment.Client, v view, w world) {
	for _, id := range slices.Sorted(maps.Keys(v.after.orders)) {
		own, theirs, journal := v.after.orders[id], w.payments[id], v.after.journal[id]
		if !v.stands(id) {
			continue
		}
		r := moneyRemedy{provider: provider, id: id, own: own, theirs: theirs, journalled: agree(journal, w.moves[id])}
		if len(journal) > 0 {
			r.held, r.kept = balances(journal)
		}
		if len(r.changes()) == 0 && r.journalled {
			continue
		}
		why := doubtReturns(own, theirs)
		if why == "" {
			why = doubt(own, theirs, w.moves[id])
		}
		switch {
		case why != "":
			p.unsure = append(p.unsure, "order "+id+": "+why)
		case len(r.changes()) > 0:
			p.remedies = append(p.remedies, r)
		}
	}
}

// doubtReturns says why a payment that was refunded in part isn't for a program to
// mend, or "": each refund has a cause of its own.
func doubtReturns(own order, theirs payment.Payment) string {
	ours := own.status == events.StatusShipped && own.refunded > 0
	if !ours && (theirs.State != payment.StateCaptured || theirs.Refunded == 0) {
		return ""
	}
	return fmt.Sprintf("our database says %s, the provider %s: each of its returns has to be looked at", own.says(), recordSays(theirs, true))
}

// doubt says why it isn't certain how a payment stands, or "".
func doubt(own order, theirs payment.Payment, moves []payment.Movement) string {
	if unknown := theirs.State == "" || theirs.State == payment.StateNone; unknown && own.payment == payment.StateNone && len(moves) == 0 {
		return "" // nothing ever was
	} else if unknown {
		return fmt.Sprintf("our database says %s, and the provider has no record of it", own.says())
	}
	fits := map[events.Status][]payment.State{
		events.StatusPaymentVerified: {payment.StateAuthorised}, events.StatusInventoryUpdated: {payment.StateAuthorised},
		events.StatusShipped:   {payment.StateCaptured},
		events.StatusCancelled: {payment.StateVoided, payment.StateRefunded, payment.StateDeclined},
	}[own.status]
	switch contradicted := contradicts(theirs, moves); {
	case !slices.Contains(fits, theirs.State):
		return fmt.Sprintf("it is %s, and the provider says %s", own.status, theirs.State)
	case theirs.Amount != own.total:
		return fmt.Sprintf("it is of %s, and the provider says %s", own.total, theirs.Amount)
	case own.payment != payment.StateNone && (own.paymentID != theirs.ID || own.paid.Currency != theirs.Amount.Currency):
		return "the provider says another payment than our database"
	case contradicted:
		return "the provider's ledger and its record contradict each other"
	}
	return ""
}

// contradicts tells whether the provider's ledger isn't what its record comes of.
func contradicts(theirs payment.Payment, moves []payment.Movement) bool {
	return !stepsOf(moves).among(courses()[theirs.State]) ||
		slices.ContainsFunc(moves, func(m payment.Movement) bool { return m.PaymentID != theirs.ID || m.Amount != theirs.Amount })
}

// moneyRemedy is a payment to be set right, and the journal of it.
type moneyRemedy struct {
	provider   *payment.Client
	id         string
	own        order
	theirs     payment.Payment
	held, kept events.Money // by our journal
	// journalled says that the journal is right, and only our record is not.
	journalled bool
}

func (r moneyRemedy) changes() []change {
	const because = "what the provider's record and ledger say"
	var all []change
	due := r.own
	if r.theirs.State != "" && !r.own.agrees(r.theirs) {
		due.payment, due.paid, due.paymentID = r.theirs.State, r.theirs.Amount, r.theirs.ID
		all = append(all, change{"order " + r.id, "payment", r.own.says(), due.says(), because})
	}
	if held, kept := due.due(); held.Amount != r.held.Amount || kept.Amount != r.kept.Amount {
		all = append(all, change{"order " + r.id, "journal of money", fmt.Sprintf("%d held, %d kept", r.held.Amount, r.kept.Amount),
			fmt.Sprintf("%d held, %d kept", held.Amount, kept.Amount), because})
	}
	return all
}

// ready asks the provider again: minutes may have gone by since it was asked.
func (r moneyRemedy) ready(ctx context.Context) error {
	now, err := r.provider.Find(ctx, r.id)
	if err != nil {
		return err
	}
	if r.theirs.State == "" {
		r.theirs.State = payment.StateNone
	}
	if now.State != r.theirs.State || now.Amount != r.theirs.Amount || now.ID != r.theirs.ID {
		return errElsewhere
	}
	return nil
}

func (r moneyRemedy) apply(ctx context.Context, tx pgx.Tx) ([]change, error) {
	now, held, kept, err := r.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	if now.status != r.own.status || now.payment != r.own.payment || now.paid != r.own.paid || now.paymentID != r.own.paymentID ||
		held != r.held.Amount || kept != r.kept.Amount {
		return nil, errElsewhere
	}
	due := r.own
	if r.theirs.State != "" && !r.own.agrees(r.theirs) {
		due.payment = r.theirs.State
		if err := r.record(ctx, tx); err != nil {
			return nil, err
		}
	}
	return r.changes(), r.correct(ctx, tx, due)
}

const balanceOf = `
with moved as (
    select credit as account, amount from money_transfers where order_id = $1
    union all
    select debit, -amount from money_transfers where order_id = $1
)
select coalesce(sum(amount) filter (where account = 'held'), 0)::bigint, coalesce(sum(amount) filter (where account = 'captured'), 0)::bigint from moved`

// lock holds the order, and reads what there is to be repaired.
func (r moneyRemedy) lock(ctx context.Context, tx pgx.Tx) (now order, held, kept int64, err error) {
	if err = tx.QueryRow(ctx, `select status from orders where id = $1 for no key update`, r.id).Scan(&now.status); err != nil {
		return now, 0, 0, fmt.Errorf("lock order: %w", err)
	}
	now.payment = payment.StateNone
	err = tx.QueryRow(ctx, `select state, amount, currency, provider_id from payments where order_id = $1 for no key update`, r.id).
		Scan(&now.payment, &now.paid.Amount, &now.paid.Currency, &now.paymentID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return now, 0, 0, fmt.Errorf("lock payment: %w", err)
	}
	if err = tx.QueryRow(ctx, balanceOf, r.id).Scan(&held, &kept); err != nil {
		return now, 0, 0, fmt.Errorf("read journal: %w", err)
	}
	return now, held, kept, nil
}

// record writes down the payment as the provider has it; the journal follows.
func (r moneyRemedy) record(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		insert into payments (order_id, provider_id, state, amount, currency, decline_code, authorised_at, captured_at, closed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		on conflict (order_id) do update
		set state = excluded.state, amount = excluded.amount, refunded_amount = 0, decline_code = excluded.decline_code,
		    authorised_at = excluded.authorised_at, captured_at = excluded.captured_at, closed_at = excluded.closed_at`,
		r.id, r.theirs.ID, r.theirs.State, r.theirs.Amount.Amount, r.theirs.Amount.Currency, postgres.OrNull(r.theirs.DeclineCode),
		postgres.OrNull(r.theirs.AuthorisedAt), postgres.OrNull(r.theirs.CapturedAt), postgres.OrNull(r.theirs.ClosedAt))
	if err != nil {
		return fmt.Errorf("mend payment: %w", err)
	}
	return nil
}

// correct adds to the journal what it still lacks, or has too much. Where it was right
// before, that is what it has followed now.
func (r moneyRemedy) correct(ctx context.Context, tx pgx.Tx, due order) error {
	if r.journalled {
		_, err := tx.Exec(ctx, `
			insert into money_transfers (order_id, kind, debit, credit, amount, currency, actor, reason)
			select order_id, 'correction', credit, debit, amount, currency, actor, reason
			from money_transfers where order_id = $1 and at = now() order by id desc`, r.id)
		if err != nil {
			return fmt.Errorf("mend journal: %w", err)
		}
		return nil
	}
	var held, kept int64
	if err := tx.QueryRow(ctx, balanceOf, r.id).Scan(&held, &kept); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	heldDue, keptDue := due.due()
	_, err := tx.Exec(ctx, `
		insert into money_transfers (order_id, kind, debit, credit, amount, currency, actor, reason)
		select $1, 'correction', case when missing > 0 then 'customer' else account end, case when missing > 0 then account else 'customer' end,
		       abs(missing), $2, told('actor'), told('reason')
		from (values ('held', $3::bigint), ('captured', $4::bigint)) as gap (account, missing)
		where missing <> 0`, r.id, due.total.Currency, heldDue.Amount-held, keptDue.Amount-kept)
	if err != nil {
		return fmt.Errorf("mend journal: %w", err)
	}
	return nil
}
