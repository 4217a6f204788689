package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
)

const (
	pollEvery   = 25 * time.Millisecond
	pollTimeout = 2 * time.Second
	maxAnswer   = 300
)

// maxEnds is how often a process may end during the start. Once or twice can be
// bad luck, as when it meets what an earlier run has left.
const maxEnds = 3

// await tries until a process that was started is ready. It gives up when there
// is no time left, when the process ends again and again, or when it is ready but
// lets nobody in.
func (s *System) await(ctx context.Context, process string, ready func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, pollTimeout)
		err := ready(attempt)
		cancel()
		if err == nil || errors.Is(err, postgres.ErrRefused) {
			return err
		}
		if s.supervisor.Ends(process) >= maxEnds {
			err = errEndsAgain
		} else if ctx.Err() == nil {
			pause(ctx, pollEvery)
			continue
		}
		return fmt.Errorf("%s does not get ready (%w): see %s", process, err, s.plan.path("logs", process+".log"))
	}
}

var errEndsAgain = errors.New("it ends again and again")

// listens tells whether somebody listens.
func listens(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// answersOK tells whether the URL answers that all is well.
func answersOK(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask for health: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("ask for health: %s: %s", response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
