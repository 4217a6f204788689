package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// TestStartAndStop starts the system on an empty folder and again on what it
// left there.
func TestStartAndStop(t *testing.T) {
	s := newSystem(t)
	t.Logf("first start: %.1f s", s.start(t).Seconds())
	assertReady(t, s)
	made := s.place(t, basket(visa, line{"TEA-SENCHA", 1}))
	s.await(t, made, "shipped", 20*time.Second)

	stopped := s.stop(t, os.Interrupt)
	again := s.start(t)
	t.Logf("Ctrl-C: %.1f s, second start: %.1f s", stopped.Seconds(), again.Seconds())
	if stopped > 10*time.Second || again > 10*time.Second {
		t.Errorf("want both within 10 s")
	}
	assertReady(t, s)
	if kept := s.read(t, made); kept.Status != "shipped" {
		t.Errorf("an order that had shipped is %s after a restart", kept.Status)
	}
	s.awaitMails(t, made, "order-placed", "order-shipped")
	s.await(t, s.place(t, basket(visa, line{"TEA-SENCHA", 1})), "shipped", 20*time.Second)
	s.stop(t, syscall.SIGTERM)
}

func assertReady(t *testing.T, s *system) {
	t.Helper()
	if answer := call(t, http.MethodGet, s.shop("/health/readiness"), nil); answer.status != http.StatusOK {
		t.Errorf("readiness: status %d, %s", answer.status, answer.body)
	}
}

// What is wrong with the surroundings is said in one line, and nothing is left.
func TestRefusedSurroundings(t *testing.T) {
	for name, test := range map[string]struct {
		variable, want string
	}{
		"no database there":  {"DATABASE_URL=postgres://me:hush@127.0.0.1:1/shop", "DATABASE_URL leads nowhere"},
		"no URL":             {"DATABASE_URL=nonsense://hush", "DATABASE_URL"},
		"no Kafka there":     {"KAFKA_BROKERS=127.0.0.1:1", "KAFKA_BROKERS 127.0.0.1:1 can't be reached"},
		"no name for Kafka":  {"KAFKA_BROKERS=kafka.invalid:9092", "KAFKA_BROKERS kafka.invalid:9092 can't be reached"},
		"S3 without account": {"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3 is set"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			s.command("run", "--root", root, "--port-offset", fmt.Sprint(s.offset))
			s.cmd.Env = append(s.cmd.Env, test.variable)
			err := s.cmd.Run()
			s.cmd = nil
			said := strings.TrimSpace(lastLines(s.output.String()))
			if err == nil || strings.Contains(said, "\n") || !strings.Contains(said, test.want) || strings.Contains(said, "hush") {
				t.Errorf("it ends with %v and says %q, want an error and one line with %q", err, said, test.want)
			}
			if left := s.processes(t); len(left) > 0 || len(s.openPorts()) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// lastLines is what the command says of its end, without the steps of the start.
func lastLines(output string) string {
	if at := strings.Index(output, "orderflow: "); at >= 0 {
		return output[at:]
	}
	return output
}

// TestInterrupted ends the system in the middle of orders, in three ways. Every
// order that was accepted comes to its end once the system is back.
func TestInterrupted(t *testing.T) {
	s := newSystem(t, "--set", "RECOVER_AFTER=3s", "--set", "RECOVER_UNHANDLED_AFTER=3s")
	s.start(t)
	crowd := &crowd{}
	t.Run("stopped", func(t *testing.T) {
		crowd.inTheMiddle(t, s, func() { s.stop(t, syscall.SIGTERM) })
		t.Logf("started again within %.1f s", s.start(t).Seconds())
		crowd.assertEnded(t, s, func() {})
	})
	t.Run("killed", func(t *testing.T) {
		crowd.inTheMiddle(t, s, func() { s.crash(t) })
		t.Logf("started again within %.1f s", s.start(t).Seconds())
		crowd.assertEnded(t, s, func() {})
	})
	t.Run("Kafka has lost everything", func(t *testing.T) {
		crowd.inTheMiddle(t, s, func() { s.crash(t) })
		s.loseKafka(t)
		s.start(t)
		crowd.assertEnded(t, s, s.pings(t))
	})
	t.Run("nothing personal", func(t *testing.T) { nothingPersonal(t, s) })
}

// loseKafka has Kafka forget all events, and how far they were read.
func (s *system) loseKafka(t *testing.T) {
	t.Helper()
	if s.kafka != nil {
		s.kafka.Lose(t)
		return
	}
	if err := os.RemoveAll(filepath.Join(s.state, "kafka")); err != nil {
		t.Fatal(err)
	}
}

// crowd are customers who order at the same time and remember what was accepted.
type crowd struct {
	mu       sync.Mutex
	accepted []string
}

// inTheMiddle interrupts while orders are placed and on their way.
func (c *crowd) inTheMiddle(t *testing.T, s *system, interrupt func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	before := c.count()
	var customers sync.WaitGroup
	for range 8 {
		customers.Go(func() { c.order(ctx, s) })
	}
	localtest.Eventually(t, "orders are accepted", 2*time.Minute, func() bool { return c.count() >= before+max(50, orders(t)/4) })
	open := s.count(t, `select count(*) from orders where status not in ('shipped', 'cancelled')`)
	interrupt()
	cancel()
	customers.Wait()
	t.Logf("%d orders were accepted and %d on their way when it happened", c.count()-before, open)
	if open == 0 {
		t.Error("no order was on its way, which proves nothing")
	}
}

func (c *crowd) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.accepted)
}

// order orders again and again. Nobody there is no answer.
func (c *crowd) order(ctx context.Context, s *system) {
	body, err := json.Marshal(basket(visa, line{"COFFEE-FIRSTLIGHT", 1}, line{"TEA-KITCHEN", 1}))
	for err == nil && ctx.Err() == nil {
		answer, gone := try(http.MethodPost, s.shop("/api/orders"), bytes.NewReader(body),
			"Content-Type", "application/json", "Idempotency-Key", uuid.NewString())
		var made accepted
		if gone != nil || answer.status != http.StatusAccepted || json.Unmarshal(answer.body, &made) != nil {
			return
		}
		c.mu.Lock()
		c.accepted = append(c.accepted, made.ID)
		c.mu.Unlock()
	}
}

// assertEnded waits until every order that was accepted has come to its end, and
// proves that nothing went wrong on the way.
func (c *crowd) assertEnded(t *testing.T, s *system, meanwhile func()) {
	t.Helper()
	began := time.Now()
	db := s.database(t)
	localtest.Eventually(t, "every accepted order has ended", 4*time.Minute, func() bool {
		meanwhile()
		var ended int
		err := db.QueryRow(t.Context(), `select count(*) from orders where id = any ($1::uuid[]) and status in ('shipped', 'cancelled')`,
			c.accepted).Scan(&ended)
		return err == nil && ended == c.count()
	})
	t.Logf("all %d had ended after %.1f s", c.count(), time.Since(began).Seconds())
	s.audit(t)
}

// pings does what the PingSource does once a minute, once a second.
func (s *system) pings(t *testing.T) func() {
	t.Helper()
	var last time.Time
	return func() {
		if time.Since(last) > time.Second {
			last = time.Now()
			s.ping(t)
		}
	}
}

func (s *system) ping(t *testing.T) {
	t.Helper()
	answer, err := try(http.MethodPost, "http://"+s.address(t, "order-recovery"), strings.NewReader(`{}`),
		"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", uuid.NewString(),
		"Ce-Source", "/apis/v1/namespaces/orderflow/pingsources/order-recovery", "Ce-Type", "dev.knative.sources.ping")
	if err != nil || answer.status/100 != 2 {
		t.Errorf("order-recovery answers a ping with %v: %d %s", err, answer.status, answer.body)
	}
}
