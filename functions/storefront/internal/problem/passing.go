package problem

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// passing tells whether an error is of the kind that goes away by itself: the
// database is away, too busy, or gave up on a conflict.
func passing(err error) bool {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refused.Code[:2] {
		case "08", "40", "53", "57": // connection, rollback, resources, operator intervention
			return true
		}
		return refused.Code == "25P03" || refused.Code == "55P03" // idle in transaction, lock not available
	}
	var connect *pgconn.ConnectError
	var network net.Error // a deadline of ours is one as well
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
