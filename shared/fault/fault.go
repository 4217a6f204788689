// Package fault provokes on a running server what a network does to it: errors,
// delays and cut connections, before a request takes effect or after it did.
// The second kind is the one that matters: the caller can't know that it was
// heard.
//
// A plan is armed over HTTP, so that a test can do it to a process of its own:
//
//	PUT /faults
//	{"after": {"method": "POST", "path": "/v1/payments", "drop": true, "count": 1}}
package fault

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"time"
)

// Plan says what goes wrong next. At most one fault of each kind is armed.
type Plan struct {
	// Before strikes instead of the effect; with only a delay, the effect
	// comes late.
	Before *Fault `json:"before,omitempty"`
	// After strikes once the effect is there, and hides the answer.
	After *Fault `json:"after,omitempty"`
}

// Fault is what happens to the requests it matches.
type Fault struct {
	// Method and Path choose the requests; empty is any. Path is a pattern as
	// of path.Match, "/v1/payments/*/capture".
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Delay comes first.
	Delay Duration `json:"delay,omitzero"`
	// Drop cuts the connection without an answer.
	Drop bool `json:"drop,omitempty"`
	// Status answers with this error.
	Status int `json:"status,omitempty"`
	// Count is how many requests are still to be struck; 0 is every one until
	// the plan is changed.
	Count int `json:"count,omitempty"`
	// Struck counts the requests that were.
	Struck int `json:"struck"`
}

// Duration is a time.Duration that is written like "1.5s".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	value, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("parse delay: %w", err)
	}
	*d = Duration(value)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// Validate says what is wrong with the plan, or nil.
func (p Plan) Validate() error {
	return errors.Join(p.Before.validate("before"), p.After.validate("after"))
}

func (f *Fault) validate(name string) error {
	if f == nil {
		return nil
	}
	if _, err := path.Match(f.Path, ""); err != nil {
		return fmt.Errorf("%s.path: %w", name, err)
	}
	if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		return fmt.Errorf("%s.status: %d is not an error", name, f.Status)
	}
	if f.Delay < 0 || f.Count < 0 {
		return fmt.Errorf("%s: delay or count is negative", name)
	}
	if f.Delay == 0 && f.Status == 0 && !f.Drop {
		return fmt.Errorf("%s: nothing to do: no delay, drop or status", name)
	}
	return nil
}

func (f *Fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	if f.Path == "" {
		return true
	}
	// The pattern was checked when the plan was armed.
	match, err := path.Match(f.Path, r.URL.Path)
	return match && err == nil
}

func decodePlan(w http.ResponseWriter, r *http.Request) (Plan, error) {
	var plan Plan
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&plan); err != nil {
		return plan, fmt.Errorf("decode plan: %w", err)
	}
	return plan, plan.Validate()
}
