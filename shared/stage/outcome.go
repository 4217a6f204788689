package stage

import (
	"errors"
	"net/http"
)

// Outcome is what became of a delivery, as it is logged.
type Outcome string

// The outcomes of a delivery.
const (
	// OutcomeApplied says that the rule ran and all of it is committed.
	OutcomeApplied Outcome = "applied"
	// OutcomeDuplicate says that the event was handled before.
	OutcomeDuplicate Outcome = "duplicate"
	// OutcomeLate says that the order had moved on, so nothing was left to do.
	OutcomeLate Outcome = "late"
	// OutcomeRejected says that the event can never be handled.
	OutcomeRejected Outcome = "rejected"
	// OutcomeRetry says that the event could not be handled now.
	OutcomeRetry Outcome = "retry"
)

// refusal is an error with the status to answer. Of the 4xx only those may be
// used that Knative doesn't retry: not 404, 408, 409 or 429.
type refusal struct {
	status int
	err    error
}

func (r refusal) Error() string { return r.err.Error() }

func (r refusal) Unwrap() error { return r.err }

func refuse(status int, err error) error { return refusal{status: status, err: err} }

// Reject marks an error as final: the event goes to the dead letters at once,
// since another attempt would end the same way. Every other error is retried.
func Reject(err error) error { return refuse(http.StatusUnprocessableEntity, err) }

// StatusOf is the one place where an error becomes an HTTP status. Knative
// retries 5xx, 404, 408, 409 and 429 and takes anything else above 2xx for final.
func StatusOf(err error) int {
	var refused refusal
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &refused):
		return refused.status
	default:
		return http.StatusServiceUnavailable
	}
}

func outcomeOf(err error) Outcome {
	if StatusOf(err) < http.StatusInternalServerError {
		return OutcomeRejected
	}
	return OutcomeRetry
}

var errMoved = errors.New("the order moved while the rule asked")
