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
	// alone has order-recovery out of the way, which would heal what Kafka loses:
	// that is its office, and hides the mutant.
	alone bool
}

// patch replaces a text that is in a file exactly once.
type patch struct{ file, old, replacement string }

func mutantNames() []string { return slices.Sorted(maps.Keys(mutants())) }

func mutants() map[string]mutant {
	return map[string]mutant{
		"offset-committed-early": {
			text:    "the dispatcher commits the offset of an event before its function has answered",
			program: "orderflow", alone: true,
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
			program: "both", alone: true,
			patches: []patch{
				{"functions/inventory-update/internal/store/queries.sql.go", "\n    for no key update\n", "\n"},
				{"functions/inventory-update/internal/store/queries.sql.go", " and stock.on_hand - stock.reserved >= line.quantity", ""},
				{"shared/postgres/migrations/00001_orders.sql", "    constraint reserved_is_on_hand check (reserved <= on_hand),\n", ""},
				scarce(),
			},
		},
		"none": {
			text:    "nothing is broken: the storm of the mutants has to be clean without them",
			program: "orderflow", alone: true,
			patches: []patch{scarce()},
		},
		"published-before-commit": {
			text:    "the next event goes to its sink before the transaction is committed that it tells of",
			program: "function", alone: true,
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
