// Package signin finds out who somebody is, by an OpenID provider or by the
// operators' password, and remembers it in a cookie that only we can read or make.
package signin

import (
	"fmt"
	"slices"
)

// Role is what somebody may do. Each may do what those before it may.
type Role string

// The roles.
const (
	// Nobody hasn't signed in.
	Nobody Role = ""
	// Viewer sees all but customers' personal data.
	Viewer Role = "viewer"
	// Operator sees those too, and deals with orders, goods and dead letters.
	Operator Role = "operator"
	// Admin also decides what can't be taken back, and sees what others did.
	Admin Role = "admin"
)

// Roles lists them, from who may do least.
func Roles() []Role { return []Role{Nobody, Viewer, Operator, Admin} }

// May tells whether somebody of this role may do what needs another.
func (r Role) May(needed Role) bool {
	mine := slices.Index(Roles(), r)
	return mine >= 0 && mine >= slices.Index(Roles(), needed)
}

// Mapping tells the role of whom the provider says that they have one of its own.
type Mapping map[string]Role

// NewMapping reads a mapping of the provider's names to ours.
func NewMapping(names map[string]string) (Mapping, error) {
	mapping := Mapping{}
	for theirs, ours := range names {
		if !slices.Contains(Roles()[1:], Role(ours)) {
			return nil, fmt.Errorf("no role is called %q: there are viewer, operator and admin", ours)
		}
		mapping[theirs] = Role(ours)
	}
	return mapping, nil
}

// Of is the role that may do most, of those that somebody has; Nobody for none.
func (m Mapping) Of(theirs []string) Role {
	role := Nobody
	for _, name := range theirs {
		if ours := m[name]; ours.May(role) {
			role = ours
		}
	}
	return role
}
