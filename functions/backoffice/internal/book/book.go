// Package book looks up what operators see: lists by key, a page at a time, and
// figures from roll-ups.
package book

import (
	"errors"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/store"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// PageSize is how many rows a page of a list has.
const PageSize = 50

// ErrNoSuch says that there is no such thing.
var ErrNoSuch = errors.New("no such thing")

// Book is where things are looked up.
type Book struct{ queries *store.Queries }

// New opens the book.
func New(pool postgres.Pool) *Book { return &Book{queries: store.New(pool)} }
