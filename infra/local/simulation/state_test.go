package simulation

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// state tells apart the states of a world: what is stored, what is under way, and
// what each thread has learned, on which all depends that its code will do.
func (w *world) state(spent budget) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, spent)
	tables := w.db.Tables()
	for _, q := range questions {
		rows := linesOf(q.rows(tables))
		slices.Sort(rows) // by nobody's order of coming
		for _, row := range rows {
			fmt.Fprintln(h, w.plainly(row))
		}
	}
	var moving []string
	for _, t := range w.threads {
		moving = append(moving, fmt.Sprint(uncounted(t.label), t.told, len(t.calls)))
	}
	for _, m := range w.broker.queue {
		moving = append(moving, fmt.Sprint(m.reader, m.event, m.copied))
	}
	for _, r := range w.broker.late {
		moving = append(moving, r.what)
	}
	for name, p := range w.processes {
		moving = append(moving, fmt.Sprint(name, slices.Sorted(maps.Keys(p.handed))))
	}
	slices.Sort(moving)
	fmt.Fprintln(h, moving, slices.Sorted(maps.Keys(w.broker.accepted)), slices.Sorted(maps.Keys(w.bucket)))
	for _, o := range w.orders {
		fmt.Fprintln(h, o.answered, o.placing, o.cancelled, o.canceling, o.tooLate)
	}
	h.Write(encode(w.provider.payments))
	fmt.Fprintln(h, slices.Sorted(maps.Keys(w.provider.first)))
	return h.Sum64()
}

// plainly is a text without the order's number, which is drawn anew in each run.
func (w *world) plainly(text string) string {
	return strings.ReplaceAll(text, w.drawnNumber, "#")
}
