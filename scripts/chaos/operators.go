package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
)

// operators are people at the back office. While the storm goes on they cancel orders
// that are on their way, and take back parts of what has shipped. Whoever gets no
// answer doesn't know, and so enters the same again, under its reference, until told
// that it is done or why it can't be; and once more after that, which must do nothing.
type operators struct {
	cancelled, takenBack, refused, again int
}

const (
	// actEvery is how long an operator thinks.
	actEvery = time.Second
	// cancelEach of so many acts is a cancellation, the others are returns.
	cancelEach = 4
)

// operate acts until the storm is over.
func (s *chaos) operate(ctx context.Context) {
	var people operators
	for turn := 1; pause(ctx, actEvery); turn++ {
		action := "take-back"
		if turn%cancelEach == 0 {
			action = "cancel"
		}
		args, found := s.chance(ctx, action, turn)
		if found {
			s.act(ctx, &people, action, args)
		}
	}
	s.report.operators = fmt.Sprintf("%d orders cancelled, %d parts taken back, %d acts refused; %d entered again without effect",
		people.cancelled, people.takenBack, people.refused, people.again)
}

// chance finds an order for an act, and says what is to be done with it; none while the
// database is away.
func (s *chaos) chance(ctx context.Context, action string, turn int) (args []string, found bool) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	db, err := pgx.Connect(ctx, s.system.env["DATABASE_URL"])
	if err != nil {
		return nil, false
	}
	defer db.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read
	var id, sku string
	var price events.Money
	if action == "cancel" {
		err = db.QueryRow(ctx, `select id::text from orders where status not in ('shipped', 'cancelled') order by id desc limit 1`).Scan(&id)
		return []string{"cancel", id, fmt.Sprintf("--reference=CASE-%d", turn), "--reason=the storm"}, err == nil
	}
	err = db.QueryRow(ctx, `select o.id::text, l.sku, l.price_amount, o.currency from orders o join order_lines l on l.order_id = o.id
		where o.status = 'shipped' order by o.id desc, l.line offset $1 limit 1`, turn%10).Scan(&id, &sku, &price.Amount, &price.Currency)
	_, refund, _ := strings.Cut(price.String(), " ")
	kept := ""
	if turn%3 == 0 {
		kept = ":damaged"
	}
	return []string{
		"take-back", id, fmt.Sprintf("--line=%s=1%s", sku, kept), "--refund=" + refund, "--reason=not_wanted", fmt.Sprintf("--reference=RMA-%d", turn),
	}, err == nil
}

// act enters an act until it is decided, and once more.
func (s *chaos) act(ctx context.Context, people *operators, action string, args []string) {
	first := s.enter(ctx, args)
	switch {
	case first == nil:
		return // the storm is over before anybody knows
	case first.refused:
		people.refused++
		return
	case action == "cancel":
		people.cancelled++
	default:
		people.takenBack++
	}
	second := s.enter(ctx, args)
	if second == nil {
		return
	}
	people.again++
	if second.refused || !second.Before || second.ID != first.ID {
		s.report.violation(fmt.Sprintf("operators: orderflow %s was done as number %d, and entered again it came to %+v", strings.Join(args, " "), first.ID, *second))
	}
}

// decision is what became of an act.
type decision struct {
	orderdesk.Done

	refused bool
}

// enter enters an act until it is decided; nil is that the storm is over.
func (s *chaos) enter(ctx context.Context, args []string) *decision {
	for {
		var output, trouble bytes.Buffer
		command := s.system.orderflowWithEnvironment(ctx, append(args, "--json", "--by=chaos")...)
		command.Stdout, command.Stderr = &output, &trouble
		err := command.Run()
		var made decision
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && json.Unmarshal(output.Bytes(), &made.Done) == nil:
			return &made
		case isRefusal(trouble.String()):
			return &decision{refused: true}
		}
		if !pause(ctx, actEvery) {
			return nil
		}
	}
}

// isRefusal tells what can't be from what didn't work.
func isRefusal(text string) bool {
	for _, refusal := range []error{
		orderdesk.ErrCancelled, orderdesk.ErrShipped, orderdesk.ErrNotShipped, orderdesk.ErrUnits, orderdesk.ErrMoney,
	} {
		if strings.Contains(text, refusal.Error()) {
			return true
		}
	}
	return false
}
