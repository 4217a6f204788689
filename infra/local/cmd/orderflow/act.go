package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// onOrders is what commands have in common by which an operator does something to
// an order.
type onOrders struct {
	operator
	sinks

	Order string `arg:"" help:"The order's id or number."`
	By    string `help:"Who does it, for the record." env:"ORDERFLOW_OPERATOR,USER" required:""`
}

// desk calls do with the order, at a desk that sends its events.
func (c *onOrders) desk(ctx context.Context, do func(*orderdesk.Desk, orderdesk.Order) (orderdesk.Done, error)) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	pool, err := database(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	publisher := orderlog.NewPublisher(pool, client, slog.New(slog.DiscardHandler))
	defer publisher.Close()
	desk := orderdesk.New(pool, publisher)
	order, err := desk.Find(ctx, c.Order)
	if err != nil {
		return explained(err)
	}
	done, err := do(desk, order)
	if err != nil {
		return explained(err)
	}
	if c.JSON {
		return printJSON(os.Stdout, done)
	}
	return tellDone(os.Stdout, order, done)
}

func tellDone(out io.Writer, order orderdesk.Order, done orderdesk.Done) error {
	text := fmt.Sprintf("%s of %s is on record as number %d", strings.TrimPrefix(done.Event, order.ID.String()+"/"), order.Number, done.ID)
	if done.Before {
		text = fmt.Sprintf("nothing to do: it was done at %s UTC by %s, and is on record as number %d", done.At.Format(time.DateTime), done.By, done.ID)
	}
	if !done.Sent {
		text += "; the KafkaSink can't be reached: order-recovery sends the event"
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

type cancelCommand struct {
	onOrders

	Reason    string `help:"Why, for the record. No personal data: it is kept for good." required:""`
	Reference string `help:"What it is known by outside, as CASE-12."`
}

// Run implements the command.
func (c *cancelCommand) Run(ctx context.Context) error {
	return c.desk(ctx, func(desk *orderdesk.Desk, order orderdesk.Order) (orderdesk.Done, error) {
		return desk.Cancel(ctx, order.ID, orderdesk.Act{By: c.By, Reason: c.Reason, Reference: c.Reference})
	})
}

type takeBackCommand struct {
	onOrders

	Lines     []string `name:"line" help:"What comes back, SKU=2; SKU=1:damaged isn't put on sale again. None where only money goes back." placeholder:"SKU=N"`
	Refund    string   `help:"What the customer gets, in the order's currency: 12.34." required:""`
	Reason    string   `help:"Why: ${enum}." enum:"not_wanted,damaged,wrong_item,lost_in_post,goodwill" required:""`
	Reference string   `help:"What the return is known by, as RMA-7: it is taken back once." required:""`
	Note      string   `help:"What else is to be said of it. No personal data: it is kept for good."`
}

// Run implements the command.
func (c *takeBackCommand) Run(ctx context.Context) error {
	lines, err := returnedLines(c.Lines)
	if err != nil {
		return err
	}
	return c.desk(ctx, func(desk *orderdesk.Desk, order orderdesk.Order) (orderdesk.Done, error) {
		refund, err := events.ParseMoney(c.Refund, order.Total.Currency)
		if err != nil {
			return orderdesk.Done{}, fmt.Errorf("--refund: %w", err)
		}
		back := orderdesk.Return{Lines: lines, Refund: refund, Reason: events.ReturnReason(c.Reason)}
		return desk.TakeBack(ctx, order.ID, back, orderdesk.Act{By: c.By, Reason: c.Note, Reference: c.Reference})
	})
}

// returnedLines reads SKU=2 and SKU=1:damaged.
func returnedLines(words []string) ([]events.ReturnedLine, error) {
	var lines []events.ReturnedLine
	for _, word := range words {
		sku, rest, found := strings.Cut(word, "=")
		number, state, marked := strings.Cut(rest, ":")
		quantity, err := strconv.Atoi(number)
		if !found || sku == "" || err != nil || (marked && state != "damaged") {
			return nil, fmt.Errorf("--line=%s: give SKU=2, or SKU=1:damaged for what isn't put on sale again", word)
		}
		lines = append(lines, events.ReturnedLine{SKU: sku, Quantity: quantity, Restocked: !marked})
	}
	return lines, nil
}
