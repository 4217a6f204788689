package function

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

// slow takes its time for each event of one topic, and none for others.
type slow string

// slowness fits into batchFor twice, and not a whole number of times: what ends
// at the very moment that the time is up could be seen before or after that.
const slowness = 3 * batchFor / 8

func (s slow) Publish(_ context.Context, e orderlog.Entry) error {
	if e.Name == string(s) {
		<-time.After(slowness)
	}
	return nil
}

// A topic that is slow has its share of a sweep and no more. What it couldn't
// take counts for nothing.
func TestSlowTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sendings []sending
		for range batchSize / 2 {
			for _, kind := range events.Catalog()[:2] {
				order := uuid.New()
				data := stored{eventType: kind.Type, order: order.String(), data: []byte(`{}`)}
				sendings = append(sendings, sending{order: order, deliveries: []delivery{{entry: orderlog.Entry{OrderID: order, Name: kind.Name, Data: data}}}})
			}
		}
		late, quick := events.Catalog()[0].Name, events.Catalog()[1].Name
		known, began := topics{}, time.Now()
		s := &sweeper{publisher: slow(late)}
		s.send(t.Context(), t.Context(), known, sendings)
		if took := time.Since(began); took > batchFor+slowness {
			t.Errorf("took %s, want no more than %s", took, batchFor+slowness)
		}
		if !errors.Is(known[late].closed, errTimeUp) || known[quick].closed != nil {
			t.Errorf("the slow topic is closed for %v, the other for %v", known[late].closed, known[quick].closed)
		}
		counted := map[string]int{}
		for _, one := range sendings {
			if outcome := one.outcome(known); outcome == Counted {
				counted[one.deliveries[0].entry.Name]++
			} else if outcome != OutOfTime {
				t.Fatalf("outcome = %d, want %d", outcome, OutOfTime)
			}
		}
		if counted[quick] != batchSize/2 || counted[late] != 3*parallel {
			t.Errorf("sent %v, want all of %s and %d of %s", counted, quick, 3*parallel, late)
		}
	})
}
