// Package function is dead-letter-intake: it keeps the events that no function
// would take, with the reason, for people to look at.
//
//	order-dead-letter -> (nothing)
//
// It is the last stop. What it refuses is gone, so it refuses nothing that
// means to be a CloudEvent, of whatever type and however broken.
package function

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/functions/dead-letter-intake/internal/store"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/stage"
)

const (
	// maxEvent is the largest request that is read, in bytes. Kafka's records
	// are at most one MiB by default.
	maxEvent = 4 << 20
	// deadline bounds one delivery, below the 30 s of func's server.
	deadline = 20 * time.Second
)

// New returns the function.
func New() *stage.Function {
	return stage.New("dead-letter-intake", build)
}

func build(_ context.Context, env stage.Env) (http.Handler, error) {
	return &intake{pool: env.Pool, logger: env.Logger}, nil
}

type intake struct {
	pool   postgres.Pool
	logger *slog.Logger
}

// ServeHTTP keeps one dead letter. It answers 2xx only once that is committed,
// and 503 until then, so that it comes again.
func (i *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, status, err := read(w, r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	if err := i.keep(r, body); err != nil {
		i.logger.WarnContext(r.Context(), "dead letter", "outcome", "retry", "error", err.Error())
		http.Error(w, err.Error(), stage.StatusOf(err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func read(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	if r.Method != http.MethodPost {
		return nil, http.StatusMethodNotAllowed, errors.New("events are sent by POST")
	}
	if !isCloudEvent(r.Header) {
		return nil, http.StatusUnsupportedMediaType, errors.New("not a CloudEvent")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("event is larger than %d bytes", maxEvent)
	case err != nil:
		return nil, http.StatusServiceUnavailable, fmt.Errorf("read event: %w", err)
	}
	return body, http.StatusOK, nil
}

func (i *intake) keep(r *http.Request, body []byte) error {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	letter := letterOf(r, body)
	kept, err := add(ctx, store.New(i.pool), &letter)
	if err != nil {
		return err
	}
	i.logger.WarnContext(ctx, "dead letter", "outcome", "kept", "letter", kept.ID, "times", kept.Times,
		"event", letter.EventID, "type", letter.EventType, "refused_by", letter.ErrorDest, "code", letter.ErrorCode)
	return nil
}

// add keeps a letter, or counts it if it is there: once for each place in the
// topic, since to read the topic again, as happens when the consumer group's
// offsets expire or its KafkaSource is made anew, is no new failure. One of its
// name that says something else leaves it to find a name of its own: nobody can
// tell which of them is real.
func add(ctx context.Context, queries *store.Queries, letter *store.AddDeadLetterParams) (store.AddDeadLetterRow, error) {
	for { // ctx ends it, should somebody else be faster each time
		seen, err := queries.FindDeadLetter(ctx, store.FindDeadLetterParams{
			EventSource: letter.EventSource, EventID: letter.EventID, ErrorDest: letter.ErrorDest, Position: letter.Position,
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return store.AddDeadLetterRow{}, fmt.Errorf("find dead letter: %w", err)
		case !bytes.Equal(said(seen.Event), said(letter.Event)):
			letter.EventID = named(letter.EventID+" ", said(letter.Event))
			continue
		case seen.ReadBefore:
			return store.AddDeadLetterRow{ID: seen.ID, Times: seen.Times}, nil
		}
		letter.Seen = seen.Event
		kept, err := queries.AddDeadLetter(ctx, *letter)
		switch {
		case err == nil:
			return kept, nil
		case !errors.Is(err, pgx.ErrNoRows): // none: another has come in between
			return store.AddDeadLetterRow{}, fmt.Errorf("add dead letter: %w", err)
		}
	}
}
