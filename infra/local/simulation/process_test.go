package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	inventoryupdate "github.com/orderflow-project/orderflow/functions/inventory-update"
	orderanalytics "github.com/orderflow-project/orderflow/functions/order-analytics"
	ordercancellation "github.com/orderflow-project/orderflow/functions/order-cancellation"
	orderrecovery "github.com/orderflow-project/orderflow/functions/order-recovery"
	paymentverification "github.com/orderflow-project/orderflow/functions/payment-verification"
	shipmentpreparation "github.com/orderflow-project/orderflow/functions/shipment-preparation"
	storefront "github.com/orderflow-project/orderflow/functions/storefront"
	"github.com/orderflow-project/orderflow/infra/local/simulation/memdb"
	"github.com/orderflow-project/orderflow/shared/orderlog"
	"github.com/orderflow-project/orderflow/shared/sink"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// functions are the processes of the world.
var functions = []string{
	"storefront", "payment-verification", "inventory-update", "shipment-preparation", "order-cancellation",
	"order-analytics", "order-recovery",
}

// process is one life of a function's process.
type process struct {
	world   *world
	name    string
	dead    bool
	session *memdb.Session
	// notes is what its publisher does beside the deliveries.
	notes   *thread
	handler http.Handler
	// handed is what sinks took of it, which it may have yet to note.
	handed map[string]bool
	// desk is the storefront's.
	desk interface {
		desk
		close()
	}
}

// process returns the function's process, started anew if it has died.
func (w *world) process(name string) *process {
	if p := w.processes[name]; p != nil {
		return p
	}
	p := &process{world: w, name: name, handed: map[string]bool{}}
	p.session = w.db.Session(p.turn)
	p.notes = &thread{label: name + " notes what is published", process: p}
	if err := p.start(); err != nil {
		panic(fmt.Sprintf("start %s: %v", name, err)) // its settings are below
	}
	w.processes[name] = p
	return p
}

func (p *process) start() error {
	client, err := sink.NewClient(sink.Config{URL: "http://sink/orderflow/any"})
	if err != nil {
		return err
	}
	env := stage.Env{
		Name: p.name, Environment: settings, Pool: p.session, Sink: client.Over(p), Transport: p, Logger: discard, Tracing: p.world.tracing,
	}
	built := map[string]*stage.Function{
		"payment-verification": paymentverification.New(), "inventory-update": inventoryupdate.New(),
		"shipment-preparation": shipmentpreparation.NewPrinting(plain), "order-cancellation": ordercancellation.New(),
		"order-analytics": orderanalytics.New(), "order-recovery": orderrecovery.New(),
	}[p.name]
	if built == nil {
		p.openDesk(client.Over(p))
		return nil
	}
	p.handler, err = built.Build(context.Background(), env)
	return err
}

var settings = map[string]string{
	"PAYMENT_PROVIDER_URL": "http://provider", "PAYMENT_PROVIDER_KEY": "key",
	"LABEL_BUCKET": "labels", "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL_S3": "http://s3",
	"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
}

// plain is a label in a line of text: drawing it would be most of the work.
func plain(l shipmentpreparation.Label) ([]byte, error) {
	return fmt.Appendf(nil, "%s %v", l.TrackingNumber, l.Items), nil
}

// standIn is customer-notification, of which there is only that it takes note of
// what it reads.
const standIn = "customer-notification"

func (w *world) takeNote(m *message) {
	order, err := uuid.Parse(m.order)
	if err != nil {
		return // there is no such order, as is found where it was sent
	}
	session := w.db.Session(memdb.AtOnce)
	err = pgx.BeginFunc(context.Background(), session, func(tx pgx.Tx) error {
		return orderlog.Append(context.Background(), tx, orderlog.Entry{
			OrderID: order, Source: standIn, Cause: m.event, OccurredAt: time.Now(),
		})
	})
	if err != nil && !errors.Is(err, orderlog.ErrHandled) {
		w.failf("notes", "%s of %s can't be noted: %v", m.event, w.nameOf(m.order), err)
	}
}

func (p *process) close() {
	if p.desk != nil {
		p.desk.close()
	}
	if closer, ok := p.handler.(interface{ Close() }); ok {
		closer.Close()
	}
}

// maxFailures is how often a delivery may fail, which is more than there are faults
// to have it fail.
const maxFailures = 40

// deliver begins the delivery of an event.
func (w *world) deliver(m *message) {
	w.broker.take(m)
	if m.reader == standIn {
		w.takeNote(m)
		return
	}
	p := w.process(m.reader)
	again := func() { w.broker.queue = append(w.broker.queue, m) }
	w.begin(p, fmt.Sprintf("%s handles %s", m.reader, m.name(w)), func(ctx context.Context) error {
		recorder := httptest.NewRecorder()
		p.handler.ServeHTTP(recorder, m.request(ctx))
		return answered(recorder)
	}, func(err error) {
		var refused *refusedError
		switch {
		case errors.As(err, &refused):
			w.failf("refused", "%s refuses %s: %v", m.reader, m.name(w), err)
		case err != nil:
			if m.failures++; m.failures > maxFailures {
				w.failf("rest", "%s never handles %s: %v", m.reader, m.name(w), err)
			}
			again()
		default:
			w.checkAnswered(m)
		}
	}, again)
}

// refusedError is an answer after which Knative makes a dead letter.
type refusedError struct{ text string }

// Error implements error.
func (r *refusedError) Error() string { return r.text }

func answered(recorder *httptest.ResponseRecorder) error {
	switch code := recorder.Code; {
	case code < 300:
		return nil
	case code >= 500 || code == http.StatusNotFound || code == http.StatusRequestTimeout || code == http.StatusConflict || code == http.StatusTooManyRequests:
		return fmt.Errorf("%d %s", code, recorder.Body)
	default:
		return &refusedError{fmt.Sprintf("%d %s", code, recorder.Body)}
	}
}

// sweep begins a sweep of order-recovery.
func (w *world) sweep() {
	p := w.process("order-recovery")
	w.begin(p, "order-recovery sweeps", func(ctx context.Context) error {
		recorder := httptest.NewRecorder()
		p.handler.ServeHTTP(recorder, ping(ctx))
		return answered(recorder)
	}, func(error) {}, nil)
}

func (p *process) openDesk(client *sink.Client) {
	publisher := orderlog.NewPublisher(p.session, client, discard)
	p.desk = opened{storefront.NewDesk(p.session, publisher, discard, p.world.draw), publisher}
}

// place begins a customer's attempt to place an order.
func (w *world) place(o *order) {
	o.placing = true
	p := w.process("storefront")
	w.begin(p, fmt.Sprintf("storefront places order %d", o.number), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		placed, err := p.desk.Place(ctx, o.wish.request(o.number), storefront.NewKey("simulation", fmt.Sprint(o.number)))
		if err == nil && !p.dead {
			o.id = placed.ID
		}
		return err
	}, func(err error) { o.placing, o.answered = false, err == nil }, func() { o.placing = false })
}

// cancel begins a customer's attempt to cancel an order.
func (w *world) cancel(o *order) {
	o.canceling = true
	p := w.process("storefront")
	w.begin(p, fmt.Sprintf("storefront cancels order %d", o.number), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return p.desk.Cancel(ctx, o.id)
	}, func(err error) {
		o.canceling, o.tooLate = false, errors.Is(err, storefront.ErrTooLate)
		o.cancelled = err == nil || o.tooLate
	}, func() { o.canceling = false })
}
