package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"golang.org/x/time/rate"

	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
)

const (
	// parallel is how many events are sent at the same time, and how many must fail
	// one after the other for the sinks to be taken for down.
	parallel = 16
	// pageFor is how long sending a page may take at the asked rate, and lease how
	// long its letters are left to who sends it: with that, and all of the page's
	// sends taking the 5 s after which the sink's client gives up.
	pageFor = 5 * time.Second
	lease   = time.Minute
	// slowest is the lowest rate, in events per second: a letter mustn't wait for its
	// turn until its lease is over.
	slowest = 0.1
	// recordFor bounds writing down what became of a page, also after Ctrl-C.
	recordFor = 10 * time.Second
	// textLength bounds what is kept of an error, in bytes.
	textLength = 1000
)

// ErrDown says that the sinks take no events, so that the rest was left alone.
var ErrDown = errors.New("the sinks take no events")

// Sender hands an event to the KafkaSink of a name. It returns nil only when the
// sink has accepted it; after any error it may have been stored all the same.
type Sender interface {
	Send(ctx context.Context, sink string, e event.Event) error
}

// Act is who does something, and why.
type Act struct {
	By     string
	Reason string
}

// Redrive is how letters are to be redriven.
type Redrive struct {
	Act

	// Data are sent in place of the event's own: for one letter only, and for a
	// reason. Recorded sends what the order's history says, for a reason too, where
	// the event says otherwise.
	Data     []byte
	Recorded bool
	// Rate is how many events are sent per second at most, from 0.1 on; 0 is no limit.
	Rate float64
	// DryRun tells what would be done, and does nothing.
	DryRun bool
}

// Outcome is what became of one letter.
type Outcome string

// The outcomes of a redrive or a discard.
const (
	// OutcomeSent says that the sink has the event. In a dry run it would be sent.
	OutcomeSent Outcome = "sent"
	// OutcomeFailed says that the sink isn't known to have it.
	OutcomeFailed Outcome = "failed"
	// OutcomeRefused says that it wasn't sent since every function would refuse it.
	OutcomeRefused Outcome = "refused"
	// OutcomeLeft says that others deal with the letter, or have dealt with it.
	OutcomeLeft Outcome = "left"
	// OutcomeDiscarded says that it is discarded. In a dry run it would be.
	OutcomeDiscarded Outcome = "discarded"
)

// Result is what became of one letter, and why.
type Result struct {
	Letter  Letter  `json:"letter"`
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"`
	Edited  bool    `json:"edited,omitempty"`
	DryRun  bool    `json:"dry_run,omitempty"`
}

func (r Redrive) check(filter Filter) error {
	switch {
	case strings.TrimSpace(r.By) == "":
		return fmt.Errorf("redrive: %w: nobody is named who does it", ErrInvalid)
	case filter.State == "":
		return fmt.Errorf("redrive: %w: it isn't said in which state the letters are", ErrInvalid)
	case r.Rate != 0 && r.Rate < slowest:
		return fmt.Errorf("redrive: %w: the rate is below %g per second", ErrInvalid, slowest)
	default:
		return r.checkData(filter)
	}
}

func (r Redrive) checkData(filter Filter) error {
	switch {
	case r.Data == nil && !r.Recorded:
		return nil
	case r.Data != nil && r.Recorded:
		return fmt.Errorf("redrive: %w: both other data and those of the history", ErrInvalid)
	case r.Data != nil && len(filter.IDs) != 1:
		return fmt.Errorf("redrive: %w: other data are for one letter, by its id", ErrInvalid)
	case strings.TrimSpace(r.Reason) == "":
		return fmt.Errorf("redrive: %w: sending other data needs a reason", ErrInvalid)
	default:
		return nil
	}
}

// Redrive sends the events of the letters that are meant again, in the order of
// their ids and some at the same time, and tells of each. Its error is ErrInvalid,
// ErrNoLetter, ErrNoOrder, ErrDown, or the database's; what was told is done.
func (d *Desk) Redrive(ctx context.Context, to Sender, filter Filter, how Redrive, tell func(Result)) error {
	if err := how.check(filter); err != nil {
		return err
	}
	size, limit := pageSize, rate.Inf
	if how.Rate > 0 {
		limit = rate.Limit(how.Rate)
		size = max(1, min(pageSize, int(how.Rate*pageFor.Seconds())))
	}
	run := &run{desk: d, to: to, how: how, state: filter.State, pace: rate.NewLimiter(limit, 1), tell: tell}
	return d.pages(ctx, filter.named(), size, func(page []kept) error { return run.page(ctx, page) })
}

// run is one redrive of many letters.
type run struct {
	desk  *Desk
	to    Sender
	how   Redrive
	state State
	pace  *rate.Limiter
	tell  func(Result)
	// failed is how many events have failed one after the other.
	failed int
}

// sending is one letter on its way.
type sending struct {
	letter kept
	act    int64
	err    error
}

func (r *run) page(ctx context.Context, page []kept) error {
	page = r.sift(page)
	if len(page) == 0 || r.how.DryRun {
		return nil
	}
	claimed, err := r.claim(ctx, page)
	if err != nil {
		return err
	}
	r.send(ctx, claimed)
	if err := r.record(ctx, claimed); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redrive: %w", err)
	}
	if r.failed >= parallel {
		return fmt.Errorf("redrive: %w: the last %d failed one after the other: %w", ErrDown, r.failed, claimed[len(claimed)-1].err)
	}
	return nil
}

// sift tells of those that aren't sent, and in a dry run of all.
func (r *run) sift(page []kept) []kept {
	var left []kept
	for _, one := range page {
		switch {
		case r.how.Data != nil:
			one.replace(r.how.Data)
		case r.how.Recorded && one.recorded != nil && one.Refusal != "":
			one.replace(one.recorded)
		}
		switch {
		case one.State != r.state:
			r.told(one, OutcomeLeft, "it is "+string(one.State))
		case one.Refusal != "":
			r.told(one, OutcomeRefused, one.Refusal)
		case r.how.DryRun:
			r.told(one, OutcomeSent, "")
		default:
			left = append(left, one)
		}
	}
	return left
}

func (r *run) told(one kept, outcome Outcome, why string) {
	r.tell(Result{Letter: one.Letter, Outcome: outcome, Why: why, Edited: one.edit != nil, DryRun: r.how.DryRun})
}

// claim takes the letters that nobody else deals with, and writes down that they
// are being redriven.
func (r *run) claim(ctx context.Context, page []kept) ([]*sending, error) {
	byID := map[int64]*sending{}
	err := r.desk.lock(ctx, page, r.state, func(queries *store.Queries, free []kept, taken map[int64]string) error {
		for _, one := range page {
			if why, is := taken[one.ID]; is {
				r.told(one, OutcomeLeft, why)
			}
		}
		params := store.ClaimParams{Actor: r.how.By, Reason: r.how.Reason, LeaseSeconds: lease.Seconds()}
		for _, one := range free {
			params.Ids, params.Datas = append(params.Ids, one.ID), append(params.Datas, one.edit)
			byID[one.ID] = &sending{letter: one}
		}
		acts, err := queries.Claim(ctx, params)
		if err != nil {
			return fmt.Errorf("claim dead letters: %w", err)
		}
		for _, act := range acts {
			byID[act.LetterID].act = act.ID
		}
		return nil
	})
	var claimed []*sending
	for _, one := range page {
		if sending := byID[one.ID]; sending != nil {
			claimed = append(claimed, sending)
		}
	}
	return claimed, err
}

// send sends what was claimed, and waits for all that was begun.
func (r *run) send(ctx context.Context, claimed []*sending) {
	var group sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, one := range claimed {
		if err := r.pace.Wait(ctx); err != nil {
			one.err = fmt.Errorf("not sent: %w", err)
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			out, err := one.letter.outgoing()
			if err == nil {
				err = r.to.Send(ctx, one.letter.Topic, out)
			}
			one.err = err
		})
	}
	group.Wait()
}

// record writes down what became of a page, also where the time is up by now.
func (r *run) record(ctx context.Context, claimed []*sending) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFor)
	defer cancel()
	var params store.RecordParams
	for _, one := range claimed {
		outcome, why := OutcomeSent, ""
		r.failed++
		if one.err != nil {
			outcome, why = OutcomeFailed, short(one.err.Error())
		} else {
			r.failed = 0
		}
		params.Acts, params.Outcomes, params.Errors = append(params.Acts, one.act), append(params.Outcomes, string(outcome)), append(params.Errors, why)
	}
	if err := store.New(r.desk.pool).Record(ctx, params); err != nil {
		return fmt.Errorf("record what was sent: %w; it is left open, and is sent again by the next redrive", err)
	}
	for i, one := range claimed {
		r.told(one.letter, Outcome(params.Outcomes[i]), params.Errors[i])
	}
	return nil
}

func short(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "\uFFFD")
	if len(text) <= textLength {
		return text
	}
	for cut := textLength; ; cut-- {
		if utf8.RuneStart(text[cut]) {
			return text[:cut]
		}
	}
}
