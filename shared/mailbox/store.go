package mailbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/orderflow-project/orderflow/shared/groupcommit"
)

const (
	bucketMessages    = "messages"     // id -> message
	bucketByRecipient = "by_recipient" // address, zero, id
	bucketByOrder     = "by_order"     // order id, zero, id
)

var errNoMessage = errors.New("no such message")

// store keeps messages, found by id, recipient and order.
type store struct{ file *groupcommit.File }

func openStore(dir string) (*store, error) {
	file, err := groupcommit.Open(filepath.Join(dir, "mailbox.db"),
		bucketMessages, bucketByRecipient, bucketByOrder, bucketEvents, bucketBounced)
	if err != nil {
		return nil, fmt.Errorf("open mailbox: %w", err)
	}
	return &store{file}, nil
}

// add keeps the messages of one mail, all or none, and with tracked what the webhook
// is to be told of them.
func (s *store) add(messages []Message, tracked bool) error {
	return s.file.Update(func(tx *bbolt.Tx) error {
		for _, m := range messages {
			kept, err := put(tx, m)
			if err != nil {
				return err
			}
			if !tracked {
				continue
			}
			if err := foretell(tx, kept); err != nil {
				return err
			}
		}
		return nil
	})
}

// put numbers a message and keeps it.
func put(tx *bbolt.Tx, m Message) (Message, error) {
	bucket := tx.Bucket([]byte(bucketMessages))
	id, err := bucket.NextSequence()
	if err != nil {
		return m, fmt.Errorf("number message: %w", err)
	}
	m.ID = strconv.FormatUint(id, 10)
	encoded, err := json.Marshal(m)
	if err != nil {
		return m, fmt.Errorf("encode message: %w", err)
	}
	if err := bucket.Put(key("", id), encoded); err != nil {
		return m, fmt.Errorf("keep message: %w", err)
	}
	for _, a := range m.recipients() {
		if err := tx.Bucket([]byte(bucketByRecipient)).Put(key(recipientPrefix(a.Email), id), nil); err != nil {
			return m, fmt.Errorf("index recipient: %w", err)
		}
	}
	if order := m.CustomArgs[ArgOrder]; order != "" {
		if err := tx.Bucket([]byte(bucketByOrder)).Put(key(orderPrefix(order), id), nil); err != nil {
			return m, fmt.Errorf("index order: %w", err)
		}
	}
	return m, nil
}

func key(prefix string, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), id)
}

func recipientPrefix(email string) string { return strings.ToLower(email) + "\x00" }

func orderPrefix(order string) string { return order + "\x00" }

// filter chooses messages. Zero values choose all.
type filter struct {
	to, order string
	before    uint64
	limit     int
}

// index is the bucket and prefix that come closest to the filter.
func (f filter) index() (bucket, prefix string) {
	switch {
	case f.order != "":
		return bucketByOrder, orderPrefix(f.order)
	case f.to != "":
		return bucketByRecipient, recipientPrefix(f.to)
	default:
		return bucketMessages, ""
	}
}

func (f filter) matches(m Message) bool {
	return f.to == "" || slices.ContainsFunc(m.recipients(), func(a Address) bool { return strings.EqualFold(a.Email, f.to) })
}

// list returns messages, newest first.
func (s *store) list(f filter) ([]Message, error) {
	messages := []Message{}
	err := s.file.View(func(tx *bbolt.Tx) error {
		bucket, prefix := f.index()
		cursor := tx.Bucket([]byte(bucket)).Cursor()
		for k := seekBefore(cursor, prefix, f.before); k != nil && len(messages) < f.limit; k = previous(cursor, prefix) {
			m, err := get(tx, k[len(prefix):])
			if err != nil {
				return err
			}
			if f.matches(m) {
				messages = append(messages, m)
			}
		}
		return nil
	})
	return messages, err
}

// seekBefore moves to the last key with the prefix and an id below one; nil if
// there is none.
func seekBefore(c *bbolt.Cursor, prefix string, id uint64) []byte {
	if id == 0 {
		id = math.MaxUint64
	}
	if k, _ := c.Seek(key(prefix, id)); k != nil {
		return previous(c, prefix)
	}
	k, _ := c.Last()
	return within(k, prefix)
}

func previous(c *bbolt.Cursor, prefix string) []byte {
	k, _ := c.Prev()
	return within(k, prefix)
}

func within(k []byte, prefix string) []byte {
	if len(k) != len(prefix)+8 || !bytes.HasPrefix(k, []byte(prefix)) {
		return nil
	}
	return k
}

// find returns one message, or errNoMessage.
func (s *store) find(id uint64) (Message, error) {
	var m Message
	err := s.file.View(func(tx *bbolt.Tx) error {
		var err error
		m, err = get(tx, key("", id))
		return err
	})
	return m, err
}

func get(tx *bbolt.Tx, id []byte) (Message, error) {
	var m Message
	stored := tx.Bucket([]byte(bucketMessages)).Get(id)
	if stored == nil {
		return m, errNoMessage
	}
	if err := json.Unmarshal(stored, &m); err != nil {
		return m, fmt.Errorf("decode message: %w", err)
	}
	return m, nil
}

// clear forgets all messages, but not how far it has counted: an id never
// means two mails.
func (s *store) clear() error {
	return s.file.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{bucketMessages, bucketByRecipient, bucketByOrder} {
			sequence := tx.Bucket([]byte(name)).Sequence()
			if err := tx.DeleteBucket([]byte(name)); err != nil {
				return fmt.Errorf("delete %s: %w", name, err)
			}
			fresh, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return fmt.Errorf("create %s: %w", name, err)
			}
			if err := fresh.SetSequence(sequence); err != nil {
				return fmt.Errorf("keep counting %s: %w", name, err)
			}
		}
		return nil
	})
}
