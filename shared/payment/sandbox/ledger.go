package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/groupcommit"
	"github.com/orderflow-project/orderflow/shared/payment"
)

const (
	bucketPayments  = "payments"  // order id -> record
	bucketMovements = "movements" // sequence number -> movement
	bucketOutcomes  = "outcomes"  // idempotency key -> hash of the request and the first answer
)

// Refusals. They are answers, not failures: nothing is undone because of them.
var (
	errConflict = errors.New("this Idempotency-Key was used with another request")
	errExists   = errors.New("this order has a payment already")
	errNotFound = errors.New("this order has no payment")
	errNotKept  = errors.New("so much of this payment isn't kept")
)

// ledger is the provider's book. Its single writer is what puts a capture and
// a release of the same order one after the other.
type ledger struct {
	file *groupcommit.File
	now  func() time.Time
}

func openLedger(dir string, now func() time.Time) (*ledger, error) {
	file, err := groupcommit.Open(filepath.Join(dir, "payments.db"), bucketPayments, bucketMovements, bucketOutcomes)
	if err != nil {
		return nil, fmt.Errorf("open payment ledger: %w", err)
	}
	return &ledger{file: file, now: now}, nil
}

// instruction is one request to change a payment.
type instruction struct {
	order string
	// key and hash tell a repeated request; without a key nothing is remembered.
	key  string
	hash [sha256.Size]byte
	// replay answers a repeated request with the first answer.
	replay bool
	act    func(r *record, now time.Time) (payment.Kind, error)
}

// outcome is what came of an instruction.
type outcome struct {
	payment  payment.Payment
	replayed bool
	refusal  error
}

// carryOut applies the instruction and returns once that is durable.
func (l *ledger) carryOut(in instruction) (outcome, error) {
	var out outcome
	err := l.file.Update(func(tx *bbolt.Tx) error {
		var err error
		out, err = books{tx}.apply(in, l.now().UTC())
		return err
	})
	return out, err
}

// find tells how an order's payment stands. It only writes to void a hold that
// has run out.
func (l *ledger) find(order string) (outcome, error) {
	var r record
	err := l.file.View(func(tx *bbolt.Tx) error {
		var err error
		r, err = books{tx}.load(order)
		return err
	})
	if err != nil {
		return outcome{}, err
	}
	if r.expire(l.now()) != "" {
		look := func(*record, time.Time) (payment.Kind, error) { return "", nil }
		return l.carryOut(instruction{order: order, act: look})
	}
	if !r.exists() {
		return outcome{refusal: errNotFound}, nil
	}
	return outcome{payment: r.Payment}, nil
}

// books is the ledger within one transaction.
type books struct{ tx *bbolt.Tx }

func (b books) apply(in instruction, now time.Time) (outcome, error) {
	first, known, err := b.first(in)
	if err != nil || first.refusal != nil || (known && in.replay) {
		return first, err
	}
	r, err := b.load(in.order)
	if err != nil {
		return outcome{}, err
	}
	if err := b.move(&r, r.expire(now), r.Amount, now); err != nil {
		return outcome{}, err
	}
	before := r.Refunded
	kind, refusal := in.act(&r, now)
	if refusal != nil {
		return outcome{refusal: refusal}, b.save(r)
	}
	amount := r.Amount
	if kind == payment.KindRefund {
		amount.Amount = r.Refunded - before
	}
	if err := errors.Join(b.move(&r, kind, amount, now), b.save(r), b.remember(in, r.Payment)); err != nil {
		return outcome{}, err
	}
	return outcome{payment: r.Payment}, nil
}

// first looks for the answer that the same key got before.
func (b books) first(in instruction) (outcome, bool, error) {
	stored := b.bucket(bucketOutcomes).Get([]byte(in.key))
	if in.key == "" || stored == nil {
		return outcome{}, false, nil
	}
	if len(stored) < sha256.Size || string(stored[:sha256.Size]) != string(in.hash[:]) {
		return outcome{refusal: errConflict}, true, nil
	}
	out := outcome{replayed: true}
	if err := json.Unmarshal(stored[sha256.Size:], &out.payment); err != nil {
		return outcome{}, true, fmt.Errorf("decode outcome: %w", err)
	}
	return out, true, nil
}

func (b books) remember(in instruction, p payment.Payment) error {
	if in.key == "" {
		return nil
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode outcome: %w", err)
	}
	return b.put(bucketOutcomes, []byte(in.key), append(in.hash[:], encoded...))
}

func (b books) load(order string) (record, error) {
	r := record{Payment: payment.Payment{OrderID: order}}
	stored := b.bucket(bucketPayments).Get([]byte(order))
	if stored == nil {
		return r, nil
	}
	if err := json.Unmarshal(stored, &r); err != nil {
		return r, fmt.Errorf("decode payment: %w", err)
	}
	return r, nil
}

func (b books) save(r record) error {
	if r.State == "" {
		return nil
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode payment: %w", err)
	}
	return b.put(bucketPayments, []byte(r.OrderID), encoded)
}

// move writes a line of the ledger, if anything was moved.
func (b books) move(r *record, kind payment.Kind, amount events.Money, now time.Time) error {
	if kind == "" {
		return nil
	}
	seq, err := b.bucket(bucketMovements).NextSequence()
	if err != nil {
		return fmt.Errorf("number movement: %w", err)
	}
	encoded, err := json.Marshal(payment.Movement{
		Seq: seq, At: now, OrderID: r.OrderID, PaymentID: r.ID, Kind: kind, Amount: amount, State: r.State,
	})
	if err != nil {
		return fmt.Errorf("encode movement: %w", err)
	}
	return b.put(bucketMovements, binary.BigEndian.AppendUint64(nil, seq), encoded)
}

func (b books) put(bucket string, key, value []byte) error {
	if err := b.bucket(bucket).Put(key, value); err != nil {
		return fmt.Errorf("write %s: %w", bucket, err)
	}
	return nil
}

func (b books) bucket(name string) *bbolt.Bucket {
	return b.tx.Bucket([]byte(name))
}
