// Package trail is the audit trail: who did what, when, why and from where. An entry
// is written before the deed, and its outcome after it; neither is ever changed.
package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// Act is what somebody wants done. Neither the reason nor the details have personal
// data of customers: they are kept for good.
type Act struct {
	Who    signin.Session
	Action string
	// Target is what it is done to: "order 0190…", "article TABLE-QUINCE".
	Target  string
	Reason  string
	Details map[string]string
	// Origin is the address that the request came from.
	Origin string
}

// Refused says that the deed wasn't done, for a reason that is fit to be shown.
type Refused struct{ Why string } //nolint:errname // it is what became of the deed

// Error implements error.
func (r Refused) Error() string { return r.Why }

// The outcomes of a deed.
const (
	done    = "done"
	refused = "refused"
	failed  = "failed"
)

// Trail is where entries are kept.
type Trail struct{ queries *store.Queries }

// New opens the trail.
func New(pool postgres.Pool) *Trail { return &Trail{queries: store.New(pool)} }

// writeFor bounds writing an outcome down, also where the deed took all its time.
const writeFor = 5 * time.Second

// Do writes an entry, does the deed, and writes down what became of it. Do says what
// was done in a sentence, or returns a Refused or another error, which Do returns. If
// no entry can be written, nothing is done.
func (t *Trail) Do(ctx context.Context, act Act, do func(context.Context) (string, error)) (string, error) {
	details, err := json.Marshal(act.Details)
	if err != nil {
		return "", fmt.Errorf("write act: %w", err)
	}
	if act.Details == nil {
		details = []byte("{}")
	}
	id, err := t.queries.InsertAct(ctx, store.InsertActParams{
		Actor: act.Who.Name, Subject: act.Who.Subject, Role: string(act.Who.Role), Action: act.Action, Target: act.Target,
		Reason: act.Reason, Details: details, Origin: act.Origin,
	})
	if err != nil {
		return "", fmt.Errorf("write act: %w", err)
	}
	note, err := do(ctx)
	outcome := store.InsertOutcomeParams{ActID: id, Outcome: done, Note: note}
	if why, is := errors.AsType[Refused](err); is {
		outcome.Outcome, outcome.Note = refused, why.Why
	} else if err != nil {
		outcome.Outcome, outcome.Note = failed, "see the log"
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeFor)
	defer cancel()
	if missing := t.queries.InsertOutcome(ctx, outcome); missing != nil {
		return note, errors.Join(err, fmt.Errorf("write outcome: %w", missing))
	}
	return note, err
}

// Entry is an act with its outcome, which is empty while it isn't known.
type Entry struct {
	ID                                     int64
	At                                     time.Time
	Actor, Role, Action, Target            string
	Reason, Details, Origin, Outcome, Note string
}

// Page lists entries before one, latest first; all from the last for 0.
func (t *Trail) Page(ctx context.Context, before int64, size int32) ([]Entry, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := t.queries.ListActs(ctx, store.ListActsParams{Before: before, Page: size})
	if err != nil {
		return nil, fmt.Errorf("list acts: %w", err)
	}
	entries := make([]Entry, 0, len(rows))
	for _, row := range rows {
		entries = append(entries, entry(row))
	}
	return entries, nil
}

// On lists what was done to something, latest first.
func (t *Trail) On(ctx context.Context, target string) ([]Entry, error) {
	rows, err := t.queries.ListActsOn(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("list acts: %w", err)
	}
	entries := make([]Entry, 0, len(rows))
	for _, row := range rows {
		entries = append(entries, entry(store.ListActsRow(row)))
	}
	return entries, nil
}

func entry(row store.ListActsRow) Entry {
	made := Entry{
		ID: row.ID, At: row.At.UTC(), Actor: row.Actor, Role: row.Role, Action: row.Action, Target: row.Target,
		Reason: row.Reason, Origin: row.Origin, Outcome: row.Outcome, Note: row.Note,
	}
	if details := string(row.Details); details != "{}" {
		made.Details = details
	}
	return made
}

// Origin is the address that a request came from. Behind proxies it is what the last
// of them tell; what stands before that is the client's own invention.
func Origin(r *http.Request, proxies int) string {
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if proxies > 0 && len(forwarded) >= proxies {
		if address, err := netip.ParseAddr(strings.TrimSpace(forwarded[len(forwarded)-proxies])); err == nil {
			return address.Unmap().String()
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return peer.Addr().Unmap().String()
}
