// Package memdb is a Postgres that knows only the statements of our functions,
// each as a Go function over tables in memory. It is what lets a simulation run
// a hundred thousand orders in minutes.
//
// Transactions are read committed: a statement sees what is committed when it
// runs and what its own transaction has written. A row that is written or locked
// belongs to its transaction until that ends, and so does a key that is inserted;
// who comes for it meanwhile waits, and then runs its statement from the start.
// That is Postgres's way but for one thing: a statement that waited sees other
// tables as they are afterwards, where Postgres shows them as they were when it
// began. A statement that relies on either has to be looked at by people.
//
// Two things keep it honest. Each Go function is held to its SQL by a hash: a
// statement that is changed or new is refused with a line that says so. And a test
// runs the same statements on Postgres and compares results, errors and tables.
package memdb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// DB is a database. It is not safe for concurrent use: whoever gives out turns
// gives one at a time.
type DB struct {
	// mu guards what takes no turn: beginnings, and the ends of transactions whose
	// callers have given up, of which there may be many at the same moment.
	mu    sync.Mutex
	clock func() time.Time
	// watch, where there is one, hears of every statement that took effect.
	watch func(Op)
	// refused is the first statement that isn't known.
	refused error
	txs     int

	products      map[string]Product
	stock         *table[string, Stock]
	orders        *table[uuid.UUID, Order]
	numbers       *table[string, bool]
	contacts      *table[uuid.UUID, Contact]
	lines         *table[uuid.UUID, []Line]
	events        *table[eventKey, Event]
	handled       *table[handledKey, bool]
	names         map[uuid.UUID][]string
	payments      *table[uuid.UUID, Payment]
	providerIDs   *table[string, bool]
	attempts      *table[attemptKey, Attempt]
	attemptIDs    map[uuid.UUID][]int64
	reservations  *table[reservationKey, Reservation]
	shipments     *table[uuid.UUID, Shipment]
	trackings     *table[string, bool]
	labelKeys     *table[string, bool]
	minutes       *table[minuteKey, int64]
	letters       *table[letterKey, Letter]
	keys          *table[string, idempotencyKey]
	lastPosition  int64
	lastAttempt   int64
	announcements int
}

// New makes a database with the schema, and nothing in it.
func New(clock func() time.Time) *DB {
	return &DB{
		clock: clock, products: map[string]Product{}, names: map[uuid.UUID][]string{}, attemptIDs: map[uuid.UUID][]int64{},
		stock: newTable[string, Stock](), orders: newTable[uuid.UUID, Order](), numbers: newTable[string, bool](),
		contacts: newTable[uuid.UUID, Contact](), lines: newTable[uuid.UUID, []Line](),
		events: newTable[eventKey, Event](), handled: newTable[handledKey, bool](),
		payments: newTable[uuid.UUID, Payment](), providerIDs: newTable[string, bool](),
		attempts:     newTable[attemptKey, Attempt](),
		reservations: newTable[reservationKey, Reservation](), shipments: newTable[uuid.UUID, Shipment](),
		trackings: newTable[string, bool](), labelKeys: newTable[string, bool](), minutes: newTable[minuteKey, int64](),
		letters: newTable[letterKey, Letter](), keys: newTable[string, idempotencyKey](),
	}
}

// Stocked puts an article on the shelves.
func (db *DB) Stocked(p Product, units int64) {
	db.products[p.SKU] = p
	db.stock.put(p.SKU, Stock{SKU: p.SKU, Opening: units, OnHand: units})
}

// SetClock has the database go by another clock from now on.
func (db *DB) SetClock(clock func() time.Time) { db.clock = clock }

// Watch has every statement that takes effect told to f.
func (db *DB) Watch(f func(Op)) { db.watch = f }

// Refused is why a statement was refused that isn't known as it stands, or nil.
func (db *DB) Refused() error { return db.refused }

// Op is one thing that was done to the database.
type Op struct {
	// Tx numbers the transaction from 1 on; 0 is a statement of its own.
	Tx int
	// Kind is begin, statement, commit or rollback.
	Kind string
	// Now is the time of the transaction, and Clock that of the statement.
	Now, Clock time.Time
	// Name, SQL and Args are what was run, Rows, Affected and Err what came of it.
	Name, SQL string
	Args      []any
	Rows      [][]any
	Affected  int64
	Err       error
}

func (db *DB) tell(op Op) {
	if db.watch != nil {
		op.Clock = db.now()
		db.watch(op)
	}
}

// now is the time as Postgres keeps it, to the microsecond.
func (db *DB) now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// Turn gives a call its turn. It runs attempt when the call is to take effect,
// and again later if that returns false, since the call waits for a lock. An error
// is what the caller gets who lost its connection, whether the call took effect or
// not.
type Turn func(ctx context.Context, what string, attempt func() (done bool)) error

// AtOnce is the turn of who is alone.
func AtOnce(_ context.Context, what string, attempt func() bool) error {
	if !attempt() {
		return fmt.Errorf("%s waits for a lock that nobody will let go of", what)
	}
	return nil
}
