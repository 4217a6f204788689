package e2e_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/shared/ordertoken"
)

// nothingPersonal looks at everything that was logged and sent so far, for what
// belongs to customers or opens doors.
func nothingPersonal(t *testing.T, s *system) {
	private := s.private(t)
	files := 0
	err := filepath.WalkDir(filepath.Join(s.state, "logs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		private.assertNotIn(t, "log "+entry.Name(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	records := s.records(t, func(record *kgo.Record) {
		private.assertNotIn(t, "topic "+record.Topic, record.Key)
		private.assertNotIn(t, "topic "+record.Topic, record.Value)
		for _, header := range record.Headers {
			private.assertNotIn(t, "topic "+record.Topic, header.Value)
		}
	})
	if files < 10 || records == 0 || len(private.words) < 10 {
		t.Errorf("looked for %d words in %d logs and %d records, which proves nothing", len(private.words), files, records)
	}
	t.Logf("none of %d names, addresses, tokens and secrets in %d logs and %d records", len(private.words)+len(private.tokens), files, records)
}

// private is what must not be found.
type private struct {
	words  map[string]string // what it is, by itself
	tokens map[string]bool
}

func (s *system) private(t *testing.T) private {
	t.Helper()
	p := private{words: map[string]string{}, tokens: map[string]bool{}}
	rows, err := s.database(t).Query(t.Context(), `select order_id, name, email, line1 from order_contacts`)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ordertoken.New(s.env["ORDER_TOKEN_KEY"])
	if err != nil {
		t.Fatal(err)
	}
	var order uuid.UUID
	var name, email, line1 string
	_, err = pgx.ForEachRow(rows, []any{&order, &name, &email, &line1}, func() error {
		// Addresses are many, and all of a few domains.
		p.words[name], p.words[email[strings.IndexByte(email, '@'):]], p.words[line1] = "a name", "an e-mail address", "a street"
		p.tokens[key.Derive(order)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(readFile(t, filepath.Join(s.state, "secrets")))) {
		if name, secret, found := strings.Cut(strings.TrimSpace(line), "="); found {
			p.words[secret] = name
		}
	}
	return p
}

func (p private) assertNotIn(t *testing.T, where string, content []byte) {
	t.Helper()
	for word, what := range p.words {
		if at := bytes.Index(content, []byte(word)); at >= 0 {
			t.Errorf("%s has %s: %q", where, what, content[max(0, at-150):min(len(content), at+50)])
		}
	}
	for word := range bytes.FieldsFuncSeq(content, notInToken) {
		if p.tokens[string(word)] {
			t.Errorf("%s has the token of an order", where)
		}
	}
}

// notInToken splits text into words of base64url.
func notInToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// records reads every topic from its beginning to where it ends now.
func (s *system) records(t *testing.T, each func(*kgo.Record)) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.env["KAFKA_BROKERS"]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var left int64
	ends.Each(func(end kadm.ListedOffset) {
		left += end.Offset
		client.AddConsumeTopics(end.Topic)
	})
	total := int(left)
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("read Kafka: %v with %d records to go", err, left)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			left--
			each(record)
		})
	}
	return total
}
