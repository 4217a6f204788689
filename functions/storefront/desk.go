package function

import (
	"log/slog"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/postgres"
)

// The words of the desk, for who calls it without a shop around it.
type (
	// Request is what a customer asks for.
	Request = checkout.Request
	// Line asks for a number of one article.
	Line = checkout.Line
	// Placed is an order that is committed.
	Placed = checkout.Placed
	// Key lets a request be sent again without ordering again.
	Key = checkout.Key
)

// ErrTooLate says that an order has shipped and can't be cancelled any more.
var ErrTooLate = checkout.ErrTooLate

// NewKey makes a key of what a client sent.
func NewKey(scope, value string) Key { return checkout.NewKey(scope, value) }

// NewDesk makes the desk that orders are placed and cancelled at, by the shop's
// pages and its API. The ids of orders are drawn from ids; by order of id is by
// order of placing.
func NewDesk(
	pool postgres.Pool, publisher *orderlog.Publisher, logger *slog.Logger, ids func() (uuid.UUID, error),
) *checkout.Desk {
	return checkout.NewDesk(pool, journal{publisher, logger}, ids)
}
