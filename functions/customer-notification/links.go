package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/store"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// pingType is the type of what a PingSource sends.
const pingType = "dev.knative.sources.ping"

const (
	// linkPause is the least time between two mails with the link to one order:
	// nobody's mailbox is filled by who knows a number and an address.
	linkPause = 10 * time.Minute
	// linkAge is how long a mail is tried that can't be sent.
	linkAge = time.Hour
	// linkTime is how long a ping goes on to new mails; what is left is the next
	// ping's. With the longest attempt begun at its end it is below func's 30 s, and
	// below the lease, so that no mail is tried twice by one ping.
	linkTime = 8 * time.Second
)

// linkPost sends customers the links to their orders that they have asked for in
// the shop. A request is committed before its customer is told anything, and a ping
// comes each minute: so it is sent however long SendGrid or this function is away,
// up to an hour. A function that dies between SendGrid's 202 and its own note of it
// sends the mail again: it asks for nothing and tells nothing new.
type linkPost struct {
	*notifier
}

// linkReport is what came of a ping.
type linkReport struct {
	Requests int64 `json:"requests"`
	Sent     int   `json:"sent"`
	Refused  int   `json:"refused"`
	Failed   int   `json:"failed"`
	Expired  int64 `json:"expired"`
}

// ServeHTTP takes what was asked for since the last ping, and sends what is due.
func (p *linkPost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := stage.Receive(w, r); err != nil {
		http.Error(w, err.Error(), stage.StatusOf(err))
		return
	}
	done, err := p.sweep(r.Context())
	if err != nil {
		p.logger.WarnContext(r.Context(), "links", "error", err.Error())
		http.Error(w, err.Error(), stage.StatusOf(err))
		return
	}
	if done != (linkReport{}) {
		p.logger.InfoContext(r.Context(), "links", slog.Int64("requests", done.Requests), slog.Int("sent", done.Sent),
			slog.Int("refused", done.Refused), slog.Int("failed", done.Failed), slog.Int64("expired", done.Expired))
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(done) //nolint:errcheck,errchkjson,gosec // whoever asked has left
}

func (p *linkPost) sweep(ctx context.Context) (done linkReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, linkTime)
	defer cancel()
	queries := store.New(p.pool)
	if done.Requests, err = queries.TakeLinkRequests(ctx, linkPause.Seconds()); err != nil {
		return done, fmt.Errorf("take requests for links: %w", err)
	}
	if done.Expired, err = queries.ExpireLinkMails(ctx, linkAge.Seconds()); err != nil {
		return done, fmt.Errorf("expire mails with links: %w", err)
	}
	for {
		a, err := p.claimLink(ctx)
		switch {
		case errors.Is(err, pgx.ErrNoRows), ctx.Err() != nil:
			return done, nil
		case err != nil:
			return done, err
		}
		if err := p.sendLink(ctx, a, &done); err != nil {
			return done, err
		}
	}
}

func (p *linkPost) claimLink(ctx context.Context) (attempt, error) {
	row, err := store.New(p.pool).ClaimLinkMail(ctx, p.lease())
	if err != nil {
		return attempt{}, fmt.Errorf("claim mail with link: %w", err)
	}
	return attempt{
		order: row.OrderID, number: row.Attempts, language: row.Language, news: letter.News{Change: letter.Link},
	}, nil
}

// sendLink sends one mail and writes down what came of it, also when the time of
// the ping is over. A failure is the next ping's to repeat.
func (p *linkPost) sendLink(ctx context.Context, a attempt, done *linkReport) error {
	ctx = context.WithoutCancel(ctx)
	messageID, sendErr := p.send(ctx, a)
	ctx, cancel := context.WithTimeout(ctx, concludeTime)
	defer cancel()
	queries := store.New(p.pool)
	if sendErr == nil {
		done.Sent++
		return wrap("mark mail with link as sent", queries.MarkLinkSent(ctx, store.MarkLinkSentParams{OrderID: a.order, MessageID: messageID}))
	}
	p.logger.WarnContext(ctx, "mail with link not sent", slog.String("order", a.order.String()), slog.String("error", sendErr.Error()))
	if refused, isRefusal := refusalOf(sendErr); isRefusal {
		done.Refused++
		return wrap("refuse mail with link", queries.RefuseLink(ctx, store.RefuseLinkParams{OrderID: a.order, Attempts: a.number, Reason: string(refused)}))
	}
	done.Failed++
	return wrap("note failure of mail with link", queries.NoteLinkFailure(ctx, store.NoteLinkFailureParams{
		OrderID: a.order, Attempts: a.number, Reason: sendErr.Error(),
	}))
}
