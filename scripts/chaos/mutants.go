package main

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
)

// A check that can't fail is no check: each mutant breaks a law of the system, and a
// storm has to find it.

// mutant is the system with places of its source replaced.
type mutant struct {
	text    string
	program string // that is built anew
	patches []patch
	// needs are the faults against which the law stands that is broken. They come by
	// turns, besides kills of functions and of the dispatcher. Order-recovery is out of
	// the way, which would heal what Kafka loses: that is its office, and hides the
	// mutant.
	needs []need
}

// need is a fault of a kind, and what it strikes.
type need struct{ kind, target string }

// What mutants need: a function away until the dispatcher has committed what it may
// and is killed, which then brings all that was waiting at once; and a provider that
// has done what it was asked, and isn't heard.
func strands(function string) need { return need{kindStrand, function} }

func loses(answer link) need { return need{kindLoseReply, answer.String()} }

// patch replaces a text that is in a file exactly once.
type patch struct{ file, old, replacement string }

func mutantNames() []string { return slices.Sorted(maps.Keys(mutants())) }

func mutants() map[string]mutant {
	return map[string]mutant{
		"offset-committed-early": {
			text:    "the dispatcher commits the offset of an event before its function has answered",
			program: "orderflow",
			needs:   []need{strands("inventory-update"), strands("shipment-preparation"), strands("payment-verification")},
			patches: []patch{{
				"infra/local/kafkasource/consumer.go",
				"\t\tif delivery.deliver(ctx, record) == nil {\n\t\t\tc.offsets.finish(w, record.Offset)\n\t\t}\n",
				"\t\tc.offsets.finish(w, record.Offset)\n\t\t_ = delivery.deliver(ctx, record)\n",
			}},
		},
		// Each of the three alone is healed by the other two: the rows are locked, the
		// condition stands in the update, and a constraint has the last word.
		"stock-check-outside-update": {
			text:    "stock is checked without a lock, the update has no condition, and no constraint stands behind",
			program: "both",
			needs:   []need{strands("inventory-update")},
			patches: []patch{
				{"functions/inventory-update/internal/store/queries.sql.go", "\n    for no key update\n", "\n"},
				{"functions/inventory-update/internal/store/queries.sql.go", " and stock.on_hand - stock.reserved >= line.quantity", ""},
				{"shared/postgres/migrations/00001_orders.sql", "    constraint reserved_is_on_hand check (reserved <= on_hand),\n", ""},
				scarce(),
			},
		},
		// The ledger of attempts asks how a payment stands before another attempt, and the
		// provider knows an order's payment by the order too, so that nobody pays twice.
		// With the one away, what is left to see is an order that the other refuses and
		// that stands still.
		"no-idempotency-key": {
			text:    "each attempt at a payment has a key of its own, and nobody asks before another",
			program: "function",
			needs:   []need{loses(link{"payment-verification", processPayment})},
			patches: []patch{
				{"shared/payment/client.go", `step.Key(orderID), encoded`, `fmt.Sprintf("%s/%d", step.Key(orderID), time.Now().UnixNano()), encoded`},
				{"shared/payment/attempt/attempt.go", "	if begun.Uncertain {\n", "	if false {\n"},
			},
		},
		"none": {
			text:    "nothing is broken: the storm of the mutants has to be clean without them",
			program: "orderflow",
			needs: []need{
				strands("inventory-update"), loses(link{"payment-verification", processPayment}),
				strands("shipment-preparation"), strands("payment-verification"),
			},
			patches: []patch{scarce()},
		},
		"published-before-commit": {
			text:    "the next event goes to its sink before the transaction is committed that it tells of",
			program: "function",
			needs:   []need{strands("payment-verification"), strands("inventory-update")},
			patches: []patch{{
				"shared/stage/deliver.go",
				"in.Now); err != nil {\n\t\treturn err\n\t}\n\treturn orderlog.Append(ctx, tx, *entry)\n",
				"in.Now); err != nil {\n\t\treturn err\n\t}\n\tif err := orderlog.Append(ctx, tx, *entry); err != nil {\n\t\treturn err\n\t}\n\treturn h.publisher.Publish(ctx, *entry)\n",
			}},
		},
	}
}

// scarce makes the article that most customers want sell out in the middle of a
// small storm, as that is when it counts how stock is checked.
func scarce() patch {
	const first = `"price": 980, "currency": "EUR", "stock": `
	return patch{"shared/postgres/demo/products.json", first + "20000", first + "60"}
}

// replacements are the mutant's files, by their paths.
func (m mutant) replacements(root string) (replacements, error) {
	replaced := replacements{}
	for _, p := range m.patches {
		path := filepath.Join(root, filepath.FromSlash(p.file))
		var content string
		var err error
		if before, patched := replaced[path]; patched {
			content, err = replaceIn(path, before, p.old, p.replacement)
		} else {
			content, err = replaceOnce(path, p.old, p.replacement)
		}
		if err != nil {
			return nil, err
		}
		replaced[path] = content
	}
	return replaced, nil
}

// build puts the mutant's programs in the place of those of the storm.
func (m mutant) build(ctx context.Context, s *system) error {
	replaced, err := m.replacements(s.options.Root)
	if err != nil {
		return err
	}
	for _, program := range []string{"orderflow", "function"} {
		if m.program != program && m.program != "both" {
			continue
		}
		if err := s.build(ctx, replaced, program, s.bin(program)); err != nil {
			return err
		}
	}
	return nil
}
