package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/sendgrid"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/store"
	"github.com/orderflow-project/orderflow/shared/ordertoken"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// What a delivery may take, one thing after the other. Each has a deadline of its
// own, so that none that is slow takes the time of the next; all of them together
// end before the frame's deadline, and so before func's server cuts the delivery
// off after 30 s.
const (
	// frameDeadline is the frame's; a test holds it to that.
	frameDeadline = 20 * time.Second
	// frameTime is for what the frame itself asks the database.
	frameTime = time.Second
	claimTime = 2 * time.Second
	findTime  = 2 * time.Second
	// concludeTime is the longest, since a mail that was sent and not marked is
	// sent again.
	concludeTime = 4 * time.Second
	// maxTimeout is what that leaves for sending.
	maxTimeout = frameDeadline - frameTime - claimTime - findTime - concludeTime
)

// maxWait is the longest that evidence is waited for. Whoever delivers gives up
// after its last pause, which is longer: so a mail that waits is still asked for,
// and becomes no dead letter for it. A test holds the manifests to that.
const maxWait = 3 * time.Minute

// leases is how many times the longest attempt a claim lasts, so that nobody
// takes it from an attempt that is only slow.
const leases = 2

var (
	// errDone says that there is nothing left to send.
	errDone = errors.New("sent or given up before")
	// errBusy is answered by 503: the event comes again when it is known what
	// became of the other attempt.
	errBusy = errors.New("the mail is being sent by another delivery")
	// errAwaiting is answered by 503: nobody knows whether an attempt's mail was
	// accepted, and SendGrid may tell.
	errAwaiting = errors.New("the mail may have been accepted: waiting for evidence")
	// errLate is answered by 503: a mail isn't begun that there is no time to
	// see through.
	errLate = errors.New("the database took too long for a mail to be sent in time")
)

// sender hands over one mail. A sendgrid.RefusalError is final.
type sender interface {
	Send(ctx context.Context, m sendgrid.Mail) (messageID string, err error)
}

// notifier tells customers about their orders.
type notifier struct {
	pool    postgres.Pool
	letters *letter.Writers
	post    sender
	from    mail.Address
	shop    *url.URL
	key     ordertoken.Key
	logger  *slog.Logger
	// timeout is the longest that sending takes.
	timeout time.Duration
	// wait is how long the evidence of an attempt is waited for whose end nobody
	// knows, before the mail is sent again.
	wait time.Duration
}

// longest is what an attempt takes at most, from the claim on.
func (n *notifier) longest() time.Duration { return claimTime + findTime + n.timeout + concludeTime }

// lease is how long a claim keeps others away.
func (n *notifier) lease() float64 { return (leases * n.longest()).Seconds() }

// attempt is the right to send one mail now.
type attempt struct {
	order  uuid.UUID
	news   letter.News
	number int32
	// language is set where it isn't the order's own.
	language string
}

// tell sends the mail that an event calls for, unless it has been sent.
//
// What remains is the time between SendGrid's 202 and the mark that follows at
// once: a process that dies in there, or whose connection does, can't know that
// the mail was accepted. The same goes for a timeout, and for a process that sleeps
// through its lease before it sends. SendGrid takes no idempotency key, but its
// webhook tells of what it has accepted: the next attempt waits for that, for a
// while. If nothing is told, the mail is sent again: of two mails and none, this is
// two, and the record says so.
func (n *notifier) tell(ctx context.Context, order uuid.UUID, data events.Data) error {
	news, worthAMail := newsOf(data)
	if !worthAMail {
		return nil
	}
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) < n.longest() { //nolint:forbidigo // a deadline is by the clock of this process
		return errLate
	}
	a, err := n.claim(ctx, order, news)
	if errors.Is(err, errDone) {
		return nil
	}
	if err != nil {
		return err
	}
	messageID, err := n.send(ctx, a)
	return n.conclude(ctx, a, messageID, err)
}

// claim takes the right to send, in a transaction of its own so that the others
// see it. It is a transaction and not just a statement, since a statement that
// waits could still commit when the delivery was given up, and nobody would
// know of the claim.
func (n *notifier) claim(ctx context.Context, order uuid.UUID, news letter.News) (attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	a := attempt{order: order, news: news}
	err := pgx.BeginFunc(ctx, n.pool, func(tx pgx.Tx) (err error) {
		a.number, err = store.New(tx).Claim(ctx, store.ClaimParams{
			OrderID: order, Change: string(news.Change), LeaseSeconds: n.lease(), WaitSeconds: n.wait.Seconds(),
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

// whyNot tells why a mail couldn't be claimed. Where that is for the evidence that
// there is of it, it is done.
func (n *notifier) whyNot(ctx context.Context, order uuid.UUID, change letter.Change) error {
	queries := store.New(n.pool)
	messageID, err := queries.SettleByEvidence(ctx, store.SettleByEvidenceParams{
		OrderID: order, Change: string(change), LeaseSeconds: n.lease(),
	})
	switch {
	case err == nil:
		n.logger.InfoContext(ctx, "mail known by evidence", slog.String("order", order.String()),
			slog.String("change", string(change)), slog.String("message_id", *messageID))
		return errDone
	case !errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("settle mail by evidence: %w", err)
	}
	mail, err := queries.FindState(ctx, store.FindStateParams{OrderID: order, Change: string(change), LeaseSeconds: n.lease()})
	switch {
	case err != nil:
		return fmt.Errorf("find mail: %w", err)
	case mail.State != "sending":
		return errDone
	case mail.Idle:
		return errAwaiting
	default:
		return errBusy
	}
}

// send writes the letter and hands it over. Whoever delivers may hang up; a mail
// on its way is seen through all the same, since to break off is not to know what
// became of it. The client has its own deadline.
func (n *notifier) send(ctx context.Context, a attempt) (messageID string, err error) {
	order, to, language, err := n.find(ctx, a)
	if err != nil {
		return "", err
	}
	if a.language != "" {
		language = a.language
	}
	written, err := n.letters.In(language).Write(a.news, order)
	if err != nil {
		return "", err
	}
	return n.post.Send(context.WithoutCancel(ctx), mailOf(a.news.Change, a.order, n.from, to, written))
}

// find reads the order, whom to write to and in which language, if it is to be done
// at all.
func (n *notifier) find(ctx context.Context, a attempt) (letter.Order, mail.Address, string, error) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	queries := store.New(n.pool)
	row, err := queries.FindOrder(ctx, store.FindOrderParams{OrderID: a.order, LeaseSeconds: n.lease()})
	if err != nil {
		return letter.Order{}, mail.Address{}, "", fmt.Errorf("find order: %w", err)
	}
	if err := sendable(a.news.Change, row); err != nil {
		return letter.Order{}, mail.Address{}, "", err
	}
	lines, err := queries.ListLines(ctx, a.order)
	if err != nil {
		return letter.Order{}, mail.Address{}, "", fmt.Errorf("list lines: %w", err)
	}
	return orderOf(row, lines, n.link(a.order)), mail.Address{Name: row.Name, Address: row.Email}, row.Language, nil
}

// sendable tells whether a mail is to be sent, and can be, or why not.
func sendable(change letter.Change, row store.FindOrderRow) error {
	err := timely(change, standing{
		status: events.Status(row.Status), toldOfShipping: row.ToldOfShipping, confirming: row.Confirming,
	})
	switch {
	case err != nil:
		return err
	case !row.HasContact:
		return errContactErased
	case !deliverable(row.Email):
		return errAddressInvalid
	default:
		return nil
	}
}

// link leads to the order's page. Its token is derived each time, so that no
// copy of the database can open an order.
func (n *notifier) link(id uuid.UUID) string {
	page := n.shop.JoinPath("orders", id.String())
	page.RawQuery = url.Values{"token": {n.key.Derive(id)}}.Encode()
	return page.String()
}

// conclude writes down what came of an attempt, whoever has hung up meanwhile and
// however long it took. A mail that will never be sent ends the delivery well: the
// order goes its way without it, the row keeps why, and a dead letter would only
// bring back the same mail.
func (n *notifier) conclude(ctx context.Context, a attempt, messageID string, sendErr error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeTime)
	defer cancel()
	if sendErr == nil {
		err := store.New(n.pool).MarkSent(ctx, store.MarkSentParams{OrderID: a.order, Change: string(a.news.Change), MessageID: messageID})
		return wrap("mark mail as sent", err)
	}
	if refused, isRefusal := refusalOf(sendErr); isRefusal {
		n.logger.WarnContext(ctx, "mail refused", slog.String("order", a.order.String()), slog.String("change", string(a.news.Change)),
			slog.String("refused_for", string(refused)), slog.String("error", sendErr.Error()))
		return n.giveUp(ctx, a, "refused", (*string)(&refused), sendErr)
	}
	if _, isSuperseded := errors.AsType[superseded](sendErr); isSuperseded {
		return n.giveUp(ctx, a, "superseded", nil, sendErr)
	}
	return errors.Join(sendErr, n.release(ctx, a, sendErr))
}

// giveUp writes down that a mail will never be sent.
func (n *notifier) giveUp(ctx context.Context, a attempt, state string, refusedFor *string, reason error) error {
	err := store.New(n.pool).GiveUp(ctx, store.GiveUpParams{
		OrderID: a.order, Change: string(a.news.Change), Attempts: a.number,
		State: state, RefusedFor: refusedFor, Reason: reason.Error(),
	})
	return wrap("give up mail", err)
}

// release lets the next delivery try again at once.
func (n *notifier) release(ctx context.Context, a attempt, reason error) error {
	uncertain := int32(0)
	if errors.Is(reason, sendgrid.ErrUncertain) {
		uncertain = 1
	}
	err := store.New(n.pool).Release(ctx, store.ReleaseParams{
		OrderID: a.order, Change: string(a.news.Change), Attempts: a.number, Reason: reason.Error(), Uncertain: uncertain,
	})
	return wrap("release mail", err)
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
