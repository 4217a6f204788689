package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// auditEvery looks for what must not be at any moment, until the storm is over.
func (s *chaos) auditEvery(ctx context.Context, violated context.CancelCauseFunc) {
	for pause(ctx, s.options.AuditEvery) {
		if err := s.auditMoving(ctx); errors.Is(err, errViolated) {
			violated(err)
			return
		}
	}
}

func (s *chaos) auditMoving(ctx context.Context) error {
	text, code, err := s.audit(ctx, "--moving")
	if ctx.Err() != nil || err != nil {
		return err
	}
	// What the audit looks at is under the storm as well: it may be unable to look.
	s.tally.audited(code != exitUnable)
	if code == exitViolated {
		s.report.violation(failures(text))
		return errors.Join(errViolated, s.stories(context.WithoutCancel(ctx), text))
	}
	// One that is there stays: nobody is here who would deal with it.
	return s.deadLetters(ctx)
}

// audit runs the audit, and returns what it writes and ends with.
func (s *chaos) audit(ctx context.Context, args ...string) (text string, code int, err error) {
	var output bytes.Buffer
	command := s.system.tool(ctx, filepath.Join(s.options.Tools, "audit"), args...)
	command.Stdout, command.Stderr = &output, &output
	err = command.Run()
	if exit, is := errors.AsType[*exec.ExitError](err); is {
		return output.String(), exit.ExitCode(), nil
	}
	return output.String(), exitClean, err
}

// failures are the lines of an audit that say what is wrong.
func failures(text string) string {
	var lines []string
	wrong := false
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			wrong = strings.HasPrefix(line, "FAIL")
		}
		if wrong {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(lines, "\n")
}

// inspect looks at what the storm has left: the audit, the dead letters, and whether
// anything happens when all topics come again.
func (s *chaos) inspect(ctx context.Context) error {
	s.sayf("the storm is over; waiting until all is at rest")
	if err := s.auditAtRest(ctx); err != nil {
		return err
	}
	if err := s.deadLetters(ctx); err != nil {
		return err
	}
	s.sayf("every topic again from its beginning")
	before, err := s.effects(ctx)
	if err != nil {
		return err
	}
	records, err := s.replay(ctx)
	if err != nil {
		return err
	}
	s.report.replayed = records
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	after, err := s.effects(ctx)
	if err != nil {
		return err
	}
	if before != after {
		s.report.violation(fmt.Sprintf("a replay of all topics had effects: before %s, after %s", before, after))
		return errors.Join(errViolated, s.stories(ctx, ""))
	}
	return s.auditAtRest(ctx)
}

func (s *chaos) auditAtRest(ctx context.Context) error {
	text, code, err := s.audit(ctx, "--settle="+s.options.Settle.String())
	switch {
	case err != nil:
		return fmt.Errorf("audit: %w", err)
	case code == exitViolated:
		s.report.violation(failures(text))
		return errors.Join(errViolated, s.stories(ctx, text))
	case code != exitClean:
		return fmt.Errorf("audit: %s", text)
	}
	s.report.audit = text
	return nil
}

// deadLetters must be none: whatever happened in the storm passed before a
// KafkaSource or order-recovery had tried often enough.
func (s *chaos) deadLetters(ctx context.Context) error {
	letters, err := s.system.orderflowWithEnvironment(ctx, "dead-letters", "list").Output()
	if err != nil {
		return fmt.Errorf("list dead letters: %w", reason(err))
	}
	if !bytes.Contains(letters, []byte("\n0 letters")) {
		s.report.violation("dead letters:\n" + string(letters))
		return errors.Join(errViolated, s.stories(context.WithoutCancel(ctx), string(letters)))
	}
	return nil
}

func (s *system) orderflowWithEnvironment(ctx context.Context, args ...string) *exec.Cmd {
	return s.tool(ctx, s.bin("orderflow"), args...)
}

// effects counts what has happened in the world, as far as the database knows.
func (s *chaos) effects(ctx context.Context) (text string, err error) {
	db, err := pgx.Connect(ctx, s.system.env["DATABASE_URL"])
	if err != nil {
		return "", fmt.Errorf("count effects: %w", err)
	}
	defer db.Close(ctx) //nolint:errcheck // nothing depends on it
	err = db.QueryRow(ctx, `select format('%s events, %s payments, %s given back, %s reservations, %s shipments, %s mails, %s attempts, stock %s',
		(select count(*) from order_events), (select count(*) from payments), (select coalesce(sum(refunded_amount), 0) from payments), (select count(*) from reservations),
		(select count(*) from shipments), (select count(*) from notifications), (select coalesce(sum(attempts), 0) from notifications),
		(select md5(string_agg(stock::text, ',' order by sku)) from stock))`).Scan(&text)
	if err != nil {
		return "", fmt.Errorf("count effects: %w", err)
	}
	return text, nil
}

// caughtUp waits until every reader has finished every record.
func (s *chaos) caughtUp(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.system.env["KAFKA_BROKERS"]))
	if err != nil {
		return fmt.Errorf("make kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var last error
	left := int64(-1)
	err = eventually(ctx, s.options.Settle, func() bool {
		attempt, cancel := context.WithTimeout(ctx, kafkaAttempt)
		defer cancel()
		left, last = lag(attempt, admin)
		return last == nil && left == 0
	})
	if err != nil {
		return fmt.Errorf("wait for readers, %d records behind: %w", left, errors.Join(err, last))
	}
	return nil
}

// told is how many orders' stories a report has: the first is what counts.
const told = 3

// stories tells the orders that a text names, or else those that aren't at an end.
func (s *chaos) stories(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	orders := regexp.MustCompile(`OF-[0-9A-Z]{5}-[0-9A-Z]{5}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindAllString(text, -1)
	if len(orders) == 0 {
		orders = s.unfinished(ctx)
	}
	slices.Sort(orders)
	orders = slices.Compact(orders)
	for _, order := range orders[:min(told, len(orders))] {
		story, err := s.system.orderflowWithEnvironment(ctx, "order", order).CombinedOutput()
		if err == nil || len(story) > 0 {
			s.report.stories = append(s.report.stories, string(story))
		}
	}
	return nil
}

// unfinished are orders that aren't at an end.
func (s *chaos) unfinished(ctx context.Context) []string {
	db, err := pgx.Connect(ctx, s.system.env["DATABASE_URL"])
	if err != nil {
		return nil
	}
	defer db.Close(ctx) //nolint:errcheck // nothing depends on it
	rows, err := db.Query(ctx, `select number from orders where status not in ('shipped', 'cancelled') order by id limit $1`, told)
	if err != nil {
		return nil
	}
	numbers, _ := pgx.CollectRows(rows, pgx.RowTo[string])
	return numbers
}

// countDuplicates counts, from the functions' logs, the deliveries that had been
// handled before.
func countDuplicates(s *system) map[string]int {
	counts := map[string]int{}
	for _, function := range s.functions {
		for _, suffix := range []string{".log.1", ".log"} {
			counts[function] += countLines(filepath.Join(s.state(), "logs", function+suffix), `"outcome":"duplicate"`)
		}
		if counts[function] == 0 {
			delete(counts, function)
		}
	}
	return counts
}

func countLines(path, with string) (count int) {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), with) {
			count++
		}
	}
	return count
}
