package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/infra/local/simulation/memdb"
)

// world is everything there is, real and simulated. It lives in a bubble of synctest.
type world struct {
	scenario scenario
	db       *memdb.DB
	provider *provider
	bucket   map[string]string
	broker   broker
	tracing  *sdktrace.TracerProvider

	processes map[string]*process
	// mu guards what goroutines of functions reach: the calls that wait.
	mu      sync.Mutex
	threads []*thread
	idle    []chan func()
	counts  map[string]int
	// drawnNumber is what the order placed last is called.
	drawnNumber string
	// drawn counts the ids of orders.
	drawn int
	// orders are the scenario's, numbered as customers place them.
	orders []*order
	number map[uuid.UUID]int
	// status is where orders stand by what was committed last.
	status map[uuid.UUID]events.Status

	failure *failure
	// saw is what the call that took effect last gives its caller, where states of the
	// world are told apart.
	saw string
	// explored says that they are.
	explored bool
	// acting is whose call takes effect.
	acting *thread
	// step counts the turns that were given, faults those by which something goes wrong.
	step, faults int
	// trace, where it is wanted, is told all that happens.
	trace func(string)
}

// order is one order of the scenario and what its customer knows of it.
type order struct {
	number    int
	wish      wish
	id        uuid.UUID
	answered  bool
	placing   bool
	cancelled bool
	canceling bool
	tooLate   bool
}

// thread is something a process is busy with.
type thread struct {
	label   string
	process *process
	calls   []*call
	done    bool
	// ended is what to do when it has ended and its process lives.
	ended func(err error)
	// returns when the process dies.
	died   func()
	err    error
	worker chan func()
	// told is all answers that it got, for telling apart states of the world.
	told uint64
	// begun is the attempt at moving money that it has on record.
	begun begun
}

// call is one call to the outside that waits for its turn.
type call struct {
	thread  *thread
	what    string
	attempt func() bool
	answer  chan error
	// blocked says that it waits for the lock of another transaction.
	blocked bool
}

type threadKey struct{}

func newWorld(s scenario) *world {
	w := &world{
		scenario: s, provider: newProvider(time.Now), bucket: map[string]string{}, processes: map[string]*process{},
		counts: map[string]int{}, number: map[uuid.UUID]int{}, status: map[uuid.UUID]events.Status{},
		tracing: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()), sdktrace.WithIDGenerator(oneTrace{})),
	}
	w.db = memdb.New(time.Now)
	for _, article := range s.articles {
		w.db.Stocked(memdb.Product{SKU: article.sku, Name: "Article " + article.sku, Price: article.price, Currency: "EUR"}, article.stock)
	}
	w.db.Watch(w.watch)
	for _, wish := range s.wishes {
		w.orders = append(w.orders, &order{number: wish.number, wish: wish})
	}
	return w
}

// begin starts something that a process does.
func (w *world) begin(p *process, label string, run func(ctx context.Context) error, ended func(error), died func()) {
	w.counts[label]++
	if n := w.counts[label]; n > 1 {
		label = fmt.Sprintf("%s, time %d,", label, n)
	}
	t := &thread{label: label, process: p, ended: ended, died: died}
	w.threads = append(w.threads, t)
	t.worker = w.worker()
	t.worker <- func() {
		err := run(context.WithValue(context.Background(), threadKey{}, t))
		w.mu.Lock()
		defer w.mu.Unlock()
		t.done, t.err = true, err
	}
	w.settle()
}

// worker is a goroutine that has nothing to do. They are used again, as most of the
// cost of a new one is growing its stack to what a delivery needs.
func (w *world) worker() chan func() {
	if last := len(w.idle) - 1; last >= 0 {
		worker := w.idle[last]
		w.idle = w.idle[:last]
		return worker
	}
	worker := make(chan func())
	go func() {
		for work := range worker {
			work()
		}
	}()
	return worker
}

// settle waits until everybody waits, and deals with what has ended.
func (w *world) settle() {
	synctest.Wait()
	w.unblock()
	for {
		i := slices.IndexFunc(w.threads, func(t *thread) bool { return t.done })
		if i < 0 {
			break
		}
		t := w.threads[i]
		w.threads = slices.Delete(w.threads, i, i+1)
		w.idle = append(w.idle, t.worker)
		if !t.process.dead {
			t.ended(t.err)
		}
	}
	for _, t := range w.threads {
		if len(t.calls) > 1 { // who fans out comes in no order
			slices.SortStableFunc(t.calls, func(a, b *call) int { return compareText(a.what, b.what) })
		}
	}
	slices.SortStableFunc(w.broker.late, func(a, b *request) int { return compareText(a.what+a.process, b.what+b.process) })
	if err := w.db.Refused(); err != nil {
		w.failf("statement", "%v", err)
	}
}

// turn is how every call to the outside waits for the scheduler.
func (p *process) turn(ctx context.Context, what string, attempt func() bool) error {
	if p.dead {
		return memdb.ErrDead
	}
	t, known := ctx.Value(threadKey{}).(*thread)
	if !known {
		t = p.notes
	}
	c := &call{thread: t, what: what, attempt: attempt, answer: make(chan error, 1)}
	p.world.mu.Lock()
	t.calls = append(t.calls, c)
	p.world.mu.Unlock()
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		p.world.mu.Lock()
		defer p.world.mu.Unlock()
		p.world.forget(c)
		return ctx.Err()
	}
}

func (w *world) forget(c *call) {
	c.thread.calls = slices.DeleteFunc(c.thread.calls, func(other *call) bool { return other == c })
}

// takeEffect has a call take effect; false is that it waits for a lock.
func (w *world) takeEffect(c *call) bool {
	w.acting = c.thread
	return c.attempt()
}

// letGo has a call take effect, unless it waits for a lock, and then answers it.
func (w *world) letGo(c *call, answer error) bool {
	if !w.takeEffect(c) {
		c.blocked = true
		return false
	}
	if answer == nil && c.toSink() {
		c.thread.process.handed[c.what] = true
	}
	w.answer(c, answer)
	return true
}

// unblock has those who wait for a lock try again: something has ended.
func (w *world) unblock() {
	for _, t := range w.threads {
		for _, c := range t.calls {
			c.blocked = false
		}
	}
	for _, p := range w.processes {
		for _, c := range p.notes.calls {
			c.blocked = false
		}
	}
}

func (w *world) answer(c *call, err error) {
	w.forget(c)
	c.thread.told = mix(c.thread.told, c.what, err, w.saw)
	w.saw = ""
	c.answer <- err
	w.settle()
}

// pass lets time pass, so that whoever waits for it goes on.
func (w *world) pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble of synctest it is how the clock is moved on
	w.settle()
}

// kill ends a process as a node that goes down does. Its code goes on, but no call
// of it has an effect any more.
func (w *world) kill(p *process) {
	p.dead = true
	delete(w.processes, p.name)
	p.session.Kill()
	for _, t := range append(slices.Clone(w.threads), p.notes) {
		if t.process != p {
			continue
		}
		for _, c := range t.calls {
			c.answer <- memdb.ErrDead
		}
		t.calls = nil
		if t.died != nil {
			t.died()
		}
	}
	go p.close()
	w.settle()
}

// end leaves nothing running.
func (w *world) end() {
	for _, name := range functions {
		if p := w.processes[name]; p != nil {
			w.kill(p)
		}
	}
	w.settle()
	for _, worker := range w.idle {
		close(worker)
	}
	if len(w.threads) > 0 {
		panic("a thread of the world hasn't ended: " + w.threads[0].label)
	}
}

// oneTrace gives all spans the same ids, so that equal states of the world are equal.
type oneTrace struct{}

// NewIDs implements sdktrace.IDGenerator.
func (oneTrace) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return trace.TraceID{1}, trace.SpanID{1}
}

// NewSpanID implements sdktrace.IDGenerator.
func (oneTrace) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return trace.SpanID{1} }

var discard = slog.New(slog.DiscardHandler)
