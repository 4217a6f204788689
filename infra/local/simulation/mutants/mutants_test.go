package mutants

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const root = "../../../.."

// mutant is a mistake that somebody could make.
type mutant struct {
	name string
	// file is where, seen from the project.
	file string
	// changes are what stands there, each once, and what is put in its place.
	changes [][2]string
	// caught is the kind of violation by which it is noticed.
	caught string
}

var mutants = []mutant{
	{
		name: "publish before commit", file: "shared/stage/deliver.go", caught: "published",
		changes: [][2]string{{
			"	return orderlog.Append(ctx, tx, *entry)\n}\n\n// publish",
			"	if err := h.publish(ctx, entry, &report{}); err != nil {\n		return err\n	}\n	return orderlog.Append(ctx, tx, *entry)\n}\n\n// publish",
		}},
	},
	{
		name: "2xx before the sink has accepted", file: "shared/stage/deliver.go", caught: "answered",
		changes: [][2]string{{"return entry, h.publish(ctx, entry, rep)", "_ = h.publish(ctx, entry, rep)\n		return entry, nil"}},
	},
	{
		name: "a key for each attempt", file: "shared/payment/client.go", caught: "attempt",
		changes: [][2]string{{`step.Key(orderID), encoded`, `fmt.Sprintf("%s/%p", step.Key(orderID), &encoded), encoded`}},
	},
	{
		name: "moved again without asking", file: "shared/payment/attempt/attempt.go", caught: "attempt",
		changes: [][2]string{{"	if begun.Uncertain {", "	if begun.Uncertain && begun.ID == 0 {"}},
	},
	{
		name: "moved without a record", file: "functions/order-cancellation/function.go", caught: "attempt",
		changes: [][2]string{
			{"	payments, err := attempt.Open(env.Pool, cfg, env.Name)", "	provider, err := gateway.Open(cfg)"},
			{"payments: payments}", "payments: provider}"},
			{"	payments *attempt.Ledger", "	payments payment.Provider"},
			{"c.payments.Release(ctx, in.Data, payment", "c.payments.Release(ctx, payment"},
			{"	return answer, nil\n", "	return attempt.Answer{Payment: answer}, nil\n"},
			{"	if err := c.payments.Record(ctx, tx, answer); err != nil {\n		return nil, err\n	}\n", ""},
			{"shared/payment/attempt\"\n", "shared/payment/attempt\"\n	\"github.com/orderflow-project/orderflow/shared/payment/gateway\"\n"},
		},
	},
	{
		name: "an answer that isn't recorded", file: "shared/payment/attempt/attempt.go", caught: "rest",
		changes: [][2]string{{"	if answer.id == 0 {", "	if answer.id >= 0 {"}},
	},
	{
		name: "a payment that isn't there settles a step", file: "shared/payment/payment.go", caught: "rest",
		changes: [][2]string{{"	default:\n		return false\n	}\n}\n\n// Provider moves", "	default:\n		return true\n	}\n}\n\n// Provider moves"}},
	},
	{
		name: "handled twice", file: "shared/orderlog/orderlog.go", caught: "rest",
		changes: [][2]string{{"	if tag.RowsAffected() == 0 {\n		return fmt.Errorf(\"append", "	if tag.RowsAffected() < 0 {\n		return fmt.Errorf(\"append"}},
	},
	{
		name: "not written down", file: "shared/stage/deliver.go", caught: "answered",
		changes: [][2]string{{"	if err := orderlog.Append(ctx, tx, entry); err != nil {\n		return err\n	}\n	_, err", "	_, err"}},
	},
	{
		name: "late events are applied", file: "shared/stage/deliver.go", caught: "rest",
		changes: [][2]string{{"if !d.standsAt(status) {", "if !d.standsAt(status) && d.in.Status == \"\" {"}},
	},
	{
		name: "any move is legal", file: "shared/orderlog/orderlog.go", caught: "move",
		changes: [][2]string{{"if slices.Contains(next, to) {", "if next = append(next, to); slices.Contains(next, to) {"}},
	},
	{
		name: "recovery sends nothing", file: "functions/order-recovery/send.go", caught: "rest",
		changes: [][2]string{{"d.err = s.publisher.Publish(ctx, d.entry)", "d.err = ctx.Err()"}},
	},
	{
		name: "a release that doesn't close the order", file: "infra/local/simulation/provider_test.go", caught: "rest",
		changes: [][2]string{{"closes: true", "closes: false"}},
	},
	{
		name: "stock isn't returned", file: "functions/order-cancellation/function.go", caught: "rest",
		changes: [][2]string{{"if err := rows.ReturnStock(ctx, in.OrderID); err != nil {", "if err := error(nil); err != nil {"}},
	},
	{
		name: "the last unit is kept", file: "functions/inventory-update/decide.go", caught: "rest",
		changes: [][2]string{{"a.available < a.wanted", "a.available <= a.wanted"}},
	},
	{
		name: "stock without lock, condition and constraint", file: "infra/local/simulation/memdb/stock.go", caught: "rest",
		changes: [][2]string{
			{"		if err := tx.db.stock.lock(tx, line.SKU); err != nil {\n			return result{}, err\n		}\n	}\n	var out", "	}\n	var out"},
			{"!stocked || stock.OnHand-stock.Reserved < int64(line.Quantity)", "!stocked || stock.OnHand < 0"},
			{"s.Reserved <= s.OnHand", "true"},
		},
	},
	{
		name: "the customer's key isn't kept", file: "functions/storefront/internal/checkout/place.go", caught: "rest",
		changes: [][2]string{{"if !key.given() {", "if !key.given() || key.given() {"}},
	},
}

// limit is far more than a mutant needs to be built and caught.
const limit = 5 * time.Minute

func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) { m.run(t) })
	}
}

func (m mutant) run(t *testing.T) {
	out := simulate(t, "-overlay="+m.overlay(t))
	if !strings.Contains(out, ": "+m.caught+": ") {
		t.Fatalf("is not caught as %q, but:\n%s", m.caught, out)
	}
	_, story, _ := strings.Cut(out, "seed ")
	t.Logf("seed %s", story)
}

// Without a mutant the same orders pass.
func TestNothingIsCaughtWithoutMutant(t *testing.T) {
	if out := simulate(t); !strings.Contains(out, "ok  ") {
		t.Fatal(out)
	}
}

// simulate runs the simulation, and returns what it says.
func simulate(t *testing.T, flags ...string) string {
	t.Helper()
	arguments := append([]string{"test", "-count=1", "-timeout=" + limit.String(), "-run=^TestOrdersUnderFaults$"}, flags...)
	command := exec.CommandContext(t.Context(), "go", append(arguments, ".", "-orders=3000")...)
	command.Dir = ".."
	out, err := command.CombinedOutput()
	if strings.Contains(string(out), "build failed") || (err != nil && len(out) == 0) {
		t.Fatalf("can't be built: %v\n%s", err, out)
	}
	return string(out)
}

// overlay writes the broken file, and what tells go to build it in the other's place.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	for _, change := range m.changes {
		if n := strings.Count(text, change[0]); n != 1 {
			t.Fatalf("%s has %d times what is to be broken: %s", m.file, n, change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	dir := t.TempDir()
	broken, overlay := filepath.Join(dir, filepath.Base(m.file)), filepath.Join(dir, "overlay.json")
	content, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{broken: []byte(text), overlay: content} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
