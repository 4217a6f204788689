package memdb

import (
	"bytes"

	"github.com/google/uuid"
)

// Attempt is a row of payment_attempts.
type Attempt struct {
	OrderID       uuid.UUID
	Step, Key     string
	RequestHash   []byte
	Amount        int64
	Currency      string
	Source, Cause string
	StartedAt     instant
	EndedAt       *instant
	Outcome       *string
	Asked         bool
	ProviderID    *string
	Failure       *string
	Position      int64
}

// Uncertain tells that nobody knows what came of it.
func (a Attempt) Uncertain() bool { return a.Outcome == nil || *a.Outcome == "unknown" }

type attemptKey struct {
	order uuid.UUID
	id    int64
}

func (a Attempt) check() error {
	outcome := or(a.Outcome, "")
	failed := oneOf(outcome, "refused", "unknown")
	return checks{
		{"failures_are_named", failed == (a.Failure != nil)},
		{"known_by_asking", !a.Asked || (outcome != "" && !failed)},
		{"payment_attempts_amount_check", a.Amount > 0},
		{"payment_attempts_currency_check", isCurrency(a.Currency)},
		{"payment_attempts_failure_check", a.Failure == nil || oneOf(*a.Failure,
			"timeout", "connection", "stopped", "unreadable", "refused", "conflict", "not_found", "unknown_method")},
		{"payment_attempts_key_check", a.Key != ""},
		{"payment_attempts_outcome_check", a.Outcome == nil || oneOf(outcome,
			"authorised", "captured", "voided", "refunded", "declined", "none", "refused", "unknown")},
		{"payment_attempts_request_hash_check", len(a.RequestHash) == 32},
		{"payment_attempts_step_check", oneOf(a.Step, "authorise", "capture", "release", "refund")},
	}.err()
}

func attemptStatements() []statement {
	return []statement{
		{"attempt Begin", "ac3f01fe3140", beginAttempt},
		{"attempt End", "21828cf6ecd3", func(tx *Tx, args []any) (result, error) {
			return endAttempt(tx, attemptKey{id(args, 3), arg[int64](args, 4)}, func(a *Attempt) {
				outcome := text(args, 0)
				a.Outcome, a.Asked, a.ProviderID = &outcome, arg[bool](args, 1), arg[*string](args, 2)
			})
		}},
		{"attempt Fail", "3a844cb18a3c", func(tx *Tx, args []any) (result, error) {
			return endAttempt(tx, attemptKey{id(args, 2), arg[int64](args, 3)}, func(a *Attempt) {
				outcome, failure := text(args, 0), text(args, 1)
				a.Outcome, a.Failure = &outcome, &failure
			})
		}},
	}
}

// beginAttempt reads before it writes: a statement doesn't see its own row.
func beginAttempt(tx *Tx, args []any) (result, error) {
	a := Attempt{
		OrderID: id(args, 0), Key: text(args, 1), Step: text(args, 2), RequestHash: arg[[]byte](args, 3),
		Amount: arg[int64](args, 4), Currency: text(args, 5), Source: text(args, 6), Cause: text(args, 7), StartedAt: tx.now,
	}
	uncertain, taken := false, false
	for _, other := range tx.db.attemptsOf(tx, a.OrderID) {
		if other.Key == a.Key {
			uncertain = other.Uncertain()
			taken = taken || (a.RequestHash != nil && !bytes.Equal(other.RequestHash, a.RequestHash))
		}
	}
	if taken {
		return one(int64(0), uncertain)
	}
	tx.db.lastAttempt++ // also of a row that is refused
	a.Position = tx.db.lastAttempt
	if err := given(a.RequestHash); err != nil {
		return result{}, err
	}
	if err := a.check(); err != nil {
		return result{}, err
	}
	key := attemptKey{a.OrderID, a.Position}
	if err := tx.db.attempts.lock(tx, key); err != nil {
		return result{}, err
	}
	tx.db.attempts.set(key, a)
	tx.db.attemptIDs[a.OrderID] = append(tx.db.attemptIDs[a.OrderID], a.Position)
	return one(a.Position, uncertain)
}

// endAttempt writes down how an attempt has ended, unless that is on record.
func endAttempt(tx *Tx, key attemptKey, end func(*Attempt)) (result, error) {
	a, there := tx.db.attempts.get(tx, key)
	if !there || a.Outcome != nil {
		return changed(0)
	}
	if err := tx.db.attempts.lock(tx, key); err != nil {
		return result{}, err
	}
	end(&a)
	a.EndedAt = &tx.now
	if err := a.check(); err != nil {
		return result{}, err
	}
	tx.db.attempts.set(key, a)
	return changed(1)
}

// attemptsOf are an order's attempts as a transaction sees them, in the order in
// which they began.
func (db *DB) attemptsOf(tx *Tx, order uuid.UUID) []Attempt {
	var all []Attempt
	for _, id := range db.attemptIDs[order] {
		if a, there := db.attempts.get(tx, attemptKey{order, id}); there {
			all = append(all, a)
		}
	}
	return all
}

// Attempts reads the committed attempts of an order, in the order in which they began.
func (db *DB) Attempts(order uuid.UUID) []Attempt { return db.attemptsOf(nil, order) }
