package function

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/store"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
)

// bookkeeping is what an attempt may take besides sending: reading the order,
// and writing down what came of it.
const bookkeeping = 5 * time.Second

// leases is how many times the longest attempt a claim lasts, so that nobody
// takes it from an attempt that is only slow.
const leases = 2

var (
	// errDone says that there is nothing left to send.
	errDone = errors.New("sent or refused before")
	// errBusy is answered by 503: the event comes again when it is known what
	// became of the other attempt.
	errBusy = errors.New("the mail is being sent by another delivery")
)

// sender hands over one mail. sendgrid.ErrRefused is final.
type sender interface {
	Send(ctx context.Context, m sendgrid.Mail) (messageID string, err error)
}

// notifier tells customers about their orders.
type notifier struct {
	pool    *pgxpool.Pool
	letters *letter.Writer
	post    sender
	from    mail.Address
	shop    *url.URL
	key     ordertoken.Key
	// patience is the longest that an attempt takes.
	patience time.Duration
}

// attempt is the right to send one mail now.
type attempt struct {
	order  uuid.UUID
	news   letter.News
	number int32
}

// tell sends the mail that an event calls for, unless it has been sent.
//
// What remains is the time between SendGrid's 202 and the mark that follows at
// once: a process that dies in there, or whose connection does, can't know that
// the mail was accepted, and the next attempt sends it again. SendGrid takes no
// idempotency key, so of two mails and none, this is two. The same goes for a
// timeout, and for a process that sleeps through its lease before it sends.
func (n *notifier) tell(ctx context.Context, order uuid.UUID, data events.Data) error {
	news, worthAMail := newsOf(data)
	if !worthAMail {
		return nil
	}
	a, err := n.claim(ctx, order, news)
	if errors.Is(err, errDone) {
		return nil
	}
	if err != nil {
		return err
	}
	// Whoever delivers may hang up; a mail on its way is seen through all the
	// same, since to break off is not to know what became of it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.patience)
	defer cancel()
	messageID, err := n.send(ctx, a)
	return n.conclude(ctx, a, messageID, err)
}

// claim takes the right to send, in a transaction of its own so that the others
// see it. It is a transaction and not just a statement, since a statement that
// waits could still commit when the delivery was given up, and nobody would
// know of the claim.
func (n *notifier) claim(ctx context.Context, order uuid.UUID, news letter.News) (attempt, error) {
	a := attempt{order: order, news: news}
	err := pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) (err error) {
		a.number, err = store.New(tx).Claim(ctx, store.ClaimParams{
			OrderID: order, Change: string(news.Change), LeaseSeconds: (leases * n.patience).Seconds(),
		})
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return a, n.whyNot(ctx, order, news.Change)
	case err != nil:
		return a, fmt.Errorf("claim mail: %w", err)
	}
	return a, nil
}

// whyNot tells why a mail couldn't be claimed.
func (n *notifier) whyNot(ctx context.Context, order uuid.UUID, change letter.Change) error {
	state, err := store.New(n.pool).FindState(ctx, store.FindStateParams{OrderID: order, Change: string(change)})
	switch {
	case err != nil:
		return fmt.Errorf("find mail: %w", err)
	case state == "sending":
		return errBusy
	default:
		return errDone
	}
}

// send writes the letter and hands it over.
func (n *notifier) send(ctx context.Context, a attempt) (messageID string, err error) {
	order, to, err := n.find(ctx, a.order)
	if err != nil {
		return "", err
	}
	written, err := n.letters.Write(a.news, order)
	if err != nil {
		return "", err
	}
	return n.post.Send(ctx, mailOf(a.news.Change, a.order, n.from, to, written))
}

// find reads the order and whom to write to.
func (n *notifier) find(ctx context.Context, id uuid.UUID) (letter.Order, mail.Address, error) {
	queries := store.New(n.pool)
	row, err := queries.FindOrder(ctx, id)
	if err != nil {
		return letter.Order{}, mail.Address{}, fmt.Errorf("find order: %w", err)
	}
	switch {
	case !row.HasContact:
		return letter.Order{}, mail.Address{}, fmt.Errorf("%w: the contact of the order was erased", sendgrid.ErrRefused)
	case !deliverable(row.Email):
		return letter.Order{}, mail.Address{}, fmt.Errorf("%w: not a mail address", sendgrid.ErrRefused)
	}
	lines, err := queries.ListLines(ctx, id)
	if err != nil {
		return letter.Order{}, mail.Address{}, fmt.Errorf("list lines: %w", err)
	}
	return orderOf(row, lines, n.link(id)), mail.Address{Name: row.Name, Address: row.Email}, nil
}

// link leads to the order's page. Its token is derived each time, so that no
// copy of the database can open an order.
func (n *notifier) link(id uuid.UUID) string {
	page := n.shop.JoinPath("orders", id.String())
	page.RawQuery = url.Values{"token": {n.key.Derive(id)}}.Encode()
	return page.String()
}

// conclude writes down what came of an attempt. A mail that will never be taken
// ends the delivery well: the order goes its way without it, the row keeps why,
// and a dead letter would only bring back the same mail.
func (n *notifier) conclude(ctx context.Context, a attempt, messageID string, sendErr error) error {
	queries, change := store.New(n.pool), string(a.news.Change)
	switch {
	case sendErr == nil:
		err := queries.MarkSent(ctx, store.MarkSentParams{OrderID: a.order, Change: change, MessageID: messageID})
		return wrap("mark mail as sent", err)
	case errors.Is(sendErr, sendgrid.ErrRefused):
		err := queries.MarkRefused(ctx, store.MarkRefusedParams{OrderID: a.order, Change: change, Reason: sendErr.Error(), Attempts: a.number})
		return wrap("mark mail as refused", err)
	default:
		err := queries.Release(ctx, store.ReleaseParams{OrderID: a.order, Change: change, Reason: sendErr.Error(), Attempts: a.number})
		return errors.Join(sendErr, wrap("release mail", err))
	}
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}

func orderOf(row store.FindOrderRow, lines []store.ListLinesRow, link string) letter.Order {
	order := letter.Order{
		Number: row.Number, Link: link, Name: row.Name, Total: events.Money{Amount: row.TotalAmount, Currency: row.Currency},
		Address: letter.Address{Line1: row.Line1, Line2: row.Line2, City: row.City, PostalCode: row.PostalCode, Country: row.Country},
	}
	for _, line := range lines {
		order.Lines = append(order.Lines, letter.Line{
			SKU: line.Sku, Name: line.Name, Quantity: int(line.Quantity),
			UnitPrice: events.Money{Amount: line.PriceAmount, Currency: row.Currency},
		})
	}
	return order
}
