// Package problem says in public what went wrong: the one place where errors
// become HTTP statuses.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
)

// Problem is an RFC 9457 problem.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Errors says which parameters are wrong.
	Errors []ParameterError `json:"errors,omitempty"`
}

// ParameterError says what is wrong with one parameter.
type ParameterError struct {
	Parameter string `json:"parameter"`
	Detail    string `json:"detail"`
}

const types = "https://orderflow.example/problems/"

// Closed says that a request doesn't have the token.
func Closed() Problem {
	return Problem{
		Type: types + "unauthorized", Title: "This is for operators", Status: http.StatusUnauthorized,
		Detail: "Send the operators’ token: Authorization: Bearer <token>.",
	}
}

// NotFound says that there is nothing at this address.
func NotFound() Problem {
	return Problem{Type: types + "not-found", Title: "There is nothing here", Status: http.StatusNotFound}
}

// NotAllowed says that a method makes no sense at this address.
func NotAllowed() Problem {
	return Problem{Type: types + "method-not-allowed", Title: "This can’t be done here", Status: http.StatusMethodNotAllowed}
}

// Broken says that we made a mistake.
func Broken() Problem {
	return Problem{Type: "about:blank", Title: "Internal Server Error", Status: http.StatusInternalServerError}
}

// Of finds the problem for an error. All that can go wrong by itself is the
// database; what it says stays inside.
func Of(err error) Problem {
	wrong := wrongs(err)
	if len(wrong) > 0 {
		return Problem{
			Type: types + "invalid-period", Title: "There are no figures for this period", Status: http.StatusUnprocessableEntity,
			Detail: "The errors say which parameters are wrong.", Errors: wrong,
		}
	}
	return Problem{
		Type: types + "unavailable", Title: "The figures can’t be read at the moment", Status: http.StatusServiceUnavailable,
		Detail: "Please try again shortly.",
	}
}

func wrongs(err error) []ParameterError {
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // takes apart what was joined
		var all []ParameterError
		for _, one := range several.Unwrap() {
			all = append(all, wrongs(one)...)
		}
		return all
	}
	if wrong, ok := errors.AsType[analytics.WrongError](err); ok {
		return []ParameterError{ParameterError(wrong)}
	}
	return nil
}

// Write answers with the problem.
func (p Problem) Write(w http.ResponseWriter) {
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="backoffice"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) //nolint:errcheck,errchkjson,gosec // the client has left
}
