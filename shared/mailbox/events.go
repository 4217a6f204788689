package mailbox

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

const (
	bucketEvents  = "events"  // id -> event that the webhook hasn't been told yet
	bucketBounced = "bounced" // address -> nothing: mail to it is dropped
)

// fate is what becomes of mail to an address, by what stands before its @ or +.
type fate []event

// event is one of SendGrid's Event Webhook, as far as the fate of a mail goes.
type event struct {
	kind, bounceType, status, classification string
}

// fateOf has mail to most people arrive. It bounces at bounce@, and what comes for
// the same address afterwards is dropped; blocked@ and deferred@ are what they say.
func fateOf(address string, bounced bool) fate {
	local, _, _ := strings.Cut(strings.ToLower(address), "@")
	local, _, _ = strings.Cut(local, "+")
	processed, delivered := event{kind: "processed"}, event{kind: "delivered"}
	switch {
	case bounced:
		return fate{{kind: "dropped"}}
	case local == "bounce":
		return fate{processed, {"bounce", "bounce", "5.1.1", "Invalid Address"}}
	case local == "blocked":
		return fate{processed, {"bounce", "blocked", "4.7.1", "Reputation"}}
	case local == "deferred":
		return fate{processed, {kind: "deferred", status: "4.2.1"}, delivered}
	default:
		return fate{processed, delivered}
	}
}

// json is the event about a mail to one address, with what SendGrid writes into it:
// the mail's own arguments beside the rest, and the address again and again.
func (e event) json(m Message, address string) ([]byte, error) {
	said := map[string]any{
		"email": address, "timestamp": m.ReceivedAt.Unix(), "event": e.kind,
		"smtp-id": "<" + m.MessageID + "@mailbox>", "category": m.Categories,
		"sg_event_id": rand.Text(), "sg_message_id": m.MessageID + ".recvd-mailbox-1-" + m.ID + ".0",
	}
	switch e.kind {
	case "delivered":
		said["response"] = "250 2.0.0 OK " + address
	case "bounce":
		said["type"], said["status"], said["bounce_classification"] = e.bounceType, e.status, e.classification
		said["reason"] = "550 " + e.status + " <" + address + ">: no such user here"
	case "deferred":
		said["response"], said["attempt"], said["status"] = "450 "+e.status+" "+address+" tries later", "1", e.status
	case "dropped":
		said["reason"] = "Bounced Address"
	}
	all := map[string]any{}
	for name, value := range m.CustomArgs {
		all[name] = value
	}
	maps.Copy(all, said)
	return json.Marshal(all)
}

// foretell keeps what the webhook is to be told of a mail, in the transaction that
// accepts it: whatever is accepted is told.
func foretell(tx *bbolt.Tx, m Message) error {
	events, bounced := tx.Bucket([]byte(bucketEvents)), tx.Bucket([]byte(bucketBounced))
	for _, to := range m.recipients() {
		address := strings.ToLower(to.Email)
		for _, e := range fateOf(address, bounced.Get([]byte(address)) != nil) {
			told, err := e.json(m, to.Email)
			if err != nil {
				return fmt.Errorf("encode event: %w", err)
			}
			id, err := events.NextSequence()
			if err != nil {
				return fmt.Errorf("number event: %w", err)
			}
			if err := events.Put(key("", id), told); err != nil {
				return fmt.Errorf("keep event: %w", err)
			}
			if e.bounceType == "bounce" {
				if err := bounced.Put([]byte(address), []byte(m.ReceivedAt.Format(time.RFC3339))); err != nil {
					return fmt.Errorf("keep bounced address: %w", err)
				}
			}
		}
	}
	return nil
}

// batch is some of what the webhook is to be told next.
type batch struct {
	ids    [][]byte
	events []json.RawMessage
}

// untold returns the oldest events that the webhook doesn't have, a few at a time.
func (s *store) untold(limit int) (batch, error) {
	var next batch
	err := s.file.View(func(tx *bbolt.Tx) error {
		next = batch{}
		cursor := tx.Bucket([]byte(bucketEvents)).Cursor()
		for id, told := cursor.First(); id != nil && len(next.ids) < limit; id, told = cursor.Next() {
			next.ids, next.events = append(next.ids, append([]byte(nil), id...)), append(next.events, append([]byte(nil), told...))
		}
		return nil
	})
	return next, err
}

// told forgets what the webhook has.
func (s *store) told(b batch) error {
	return s.file.Update(func(tx *bbolt.Tx) error {
		for _, id := range b.ids {
			if err := tx.Bucket([]byte(bucketEvents)).Delete(id); err != nil {
				return fmt.Errorf("forget event: %w", err)
			}
		}
		return nil
	})
}

// waiting counts what the webhook is still to be told.
func (s *store) waiting() (count int, err error) {
	err = s.file.View(func(tx *bbolt.Tx) error {
		count = tx.Bucket([]byte(bucketEvents)).Stats().KeyN
		return nil
	})
	return count, err
}
