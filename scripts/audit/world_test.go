package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.etcd.io/bbolt"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/mailbox"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

const (
	providerKey = "a key for tests"
	mailboxKey  = "SG.tests"
)

// shop is a small true world: orders in a database, and a payment provider, a
// mailbox and an S3 that have what belongs to them.
type shop struct {
	*testing.T

	pool     *pgxpool.Pool
	provider *payment.Client
	sandbox  atomic.Pointer[sandbox.Server]
	// meanwhile is called before the provider is asked next, and afterwards once
	// the mailbox has been read.
	meanwhile, afterwards atomic.Pointer[func()]

	ledger                string // the provider's folder
	labels                bucket // of its own, as the audit looks at all that is in it
	providerAt, mailAt    string
	shipped, other        stagetest.Order // paid, sent, and told of
	cancelled, neverAsked stagetest.Order // money given back; never held
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, pool: postgrestest.New(t), ledger: t.TempDir(), labels: newBucket(t)}
	s.openProvider()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if call := s.meanwhile.Swap(nil); call != nil {
			(*call)()
		}
		s.sandbox.Load().ServeHTTP(w, r)
	}))
	box, err := mailbox.New(mailbox.Options{Dir: t.TempDir(), Key: mailboxKey})
	s.must(err)
	mail := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		box.ServeHTTP(w, r)
		if r.Method != http.MethodGet {
			return
		}
		if call := s.afterwards.Swap(nil); call != nil {
			(*call)()
		}
	}))
	t.Cleanup(func() {
		provider.Close()
		mail.Close()
		s.must(s.sandbox.Load().Close())
		s.must(box.Close())
	})
	s.providerAt, s.mailAt = provider.URL, mail.URL
	s.provider = payment.NewClient(provider.URL, providerKey, nil)

	s.shipped, s.other = s.ship(3300, true), s.ship(3300, true)
	s.cancelled, s.neverAsked = s.cancel(true), s.cancel(false)
	s.finish()
	return s
}

func (s *shop) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.pool.Exec(s.Context(), sql, args...); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// ship makes a shipped order, for which the provider holds an amount, and keeps
// it if it was captured.
func (s *shop) ship(amount int64, captured bool) stagetest.Order {
	s.Helper()
	order := stagetest.Place(s, s.pool, events.StatusShipped)
	id := order.ID.String()
	paid := s.authorise(id, amount)
	if captured {
		_, err := s.provider.Capture(s.Context(), id)
		s.must(err)
	}
	s.exec(`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, captured_at)
		values ($1, $2, 'captured', $3, 'EUR', now(), now())`, order.ID, paid.ID, order.Total.Amount)
	s.exec(`insert into reservations select order_id, sku, quantity, 'shipped' from order_lines where order_id = $1`, order.ID)
	s.exec(`update stock s set on_hand = on_hand - r.quantity, shipped = shipped + r.quantity
		from reservations r where r.sku = s.sku and r.order_id = $1`, order.ID)
	s.exec(`insert into shipments select order_id, 'Test Post', data ->> 'tracking_number', $2, '', now()
		from order_events where order_id = $1 and name = 'order-shipped'`, order.ID, labelKey(order))
	s.stick(order, labelOf(order.Number, "T"+id, "2 ×", stagetest.SKUOne, "1 ×", stagetest.SKUTwo))
	s.nameThePayment(order, paid.ID)
	s.tell(order, "order-placed")
	s.tell(order, "order-shipped")
	return order
}

// nameThePayment has the order's event tell the payment that the provider has.
func (s *shop) nameThePayment(order stagetest.Order, id string) {
	s.Helper()
	s.exec(`update order_events set data = jsonb_set(data, '{payment_id}', to_jsonb($2::text))
		where order_id = $1 and name = 'payment-verified'`, order.ID, id)
}

// cancelReserved makes an order whose units were reserved, and that its customer
// cancelled then. Its money is held.
func (s *shop) cancelReserved() stagetest.Order {
	s.Helper()
	order := stagetest.Place(s, s.pool, events.StatusInventoryUpdated)
	held := s.authorise(order.ID.String(), order.Total.Amount)
	s.exec(`insert into payments (order_id, provider_id, state, amount, currency, authorised_at) values ($1, $2, 'authorised', 3300, 'EUR', now())`,
		order.ID, held.ID)
	s.nameThePayment(order, held.ID)
	s.exec(`insert into reservations select order_id, sku, quantity, 'released' from order_lines where order_id = $1`, order.ID)
	s.exec(`update orders set status = 'cancelled', cancel_reason = 'customer_request' where id = $1`, order.ID)
	s.exec(`insert into order_events (order_id, name, source, type, data, occurred_at)
		select order_id, 'order-cancelled', 'storefront', 'orderflow.order.cancelled.v1', data || '{"reason": "customer_request"}', now()
		from order_events where order_id = $1 and name = 'order-placed'`, order.ID)
	s.tell(order, "order-placed")
	s.tell(order, "order-cancelled")
	return order
}

// refund captures and refunds, and writes that down.
func (s *shop) refund(order stagetest.Order) {
	s.Helper()
	_, err := s.provider.Capture(s.Context(), order.ID.String())
	s.must(err)
	_, err = s.provider.Release(s.Context(), order.ID.String())
	s.must(err)
	s.exec(`update payments set state = 'refunded' where order_id = $1`, order.ID)
}

// cancel makes an order that its customer cancelled, after its money was held
// or before.
func (s *shop) cancel(held bool) stagetest.Order {
	s.Helper()
	order := stagetest.Place(s, s.pool, events.StatusCancelled)
	if held {
		s.authorise(order.ID.String(), order.Total.Amount)
		voided, err := s.provider.Release(s.Context(), order.ID.String())
		s.must(err)
		s.exec(`insert into payments (order_id, provider_id, state, amount, currency, authorised_at, closed_at)
			values ($1, $2, 'voided', 3300, 'EUR', now(), now())`, order.ID, voided.ID)
	}
	s.tell(order, "order-cancelled")
	return order
}

// finish has every event of every order published, handled and counted.
func (s *shop) finish() {
	s.Helper()
	var names, readers []string
	for _, kind := range events.Catalog() {
		for _, reader := range kind.ReadBy {
			names, readers = append(names, kind.Name), append(readers, reader)
		}
	}
	s.exec(`insert into order_events (order_id, name, source, cause, occurred_at)
		select e.order_id, e.name || '#' || r.reader, r.reader, e.name, now()
		from order_events e join unnest($1::text[], $2::text[]) r (event, reader) on r.event = e.name
		where e.type is not null on conflict do nothing`, names, readers)
	s.exec(`update order_events set published_at = now() where type is not null`)
	s.exec(`delete from analytics_minutes`)
	s.exec(`insert into analytics_minutes
		select date_trunc('minute', e.occurred_at, 'UTC'), m.metric, m.dimension, 0, sum(m.value)
		from order_events e join (values
			('order-placed', 'orders_placed', '', 1), ('order-cancelled', 'orders_cancelled', 'customer_request', 1),
			('order-shipped', 'orders_shipped', '', 1), ('order-shipped', 'revenue', 'EUR', 3300),
			('order-shipped', 'items_sold', 'TEST-ONE', 2), ('order-shipped', 'items_sold', 'TEST-TWO', 1)
		) m (event, metric, dimension, value) on m.event = e.name
		where e.type is not null group by 1, 2, 3`)
	s.exec(`update orders set settled_at = now() where status in ('shipped', 'cancelled')`)
}

func (s *shop) authorise(order string, amount int64) payment.Payment {
	s.Helper()
	answer, err := s.provider.Authorise(s.Context(), payment.AuthoriseRequest{
		OrderID: order, Amount: events.Money{Amount: amount, Currency: "EUR"}, Method: stagetest.PaymentMethod,
	})
	s.must(err)
	return answer
}

// tell sends a mail, and writes that down.
func (s *shop) tell(order stagetest.Order, change string) {
	s.Helper()
	s.exec(`insert into notifications (order_id, change, state, claimed_at, message_id, sent_at) values ($1, $2, 'sent', now(), $3, now())`,
		order.ID, change, s.post(order, change))
}

// post sends a mail to the order's contact, and returns its message id.
func (s *shop) post(order stagetest.Order, change string) string {
	s.Helper()
	return s.postTo(order, change, `"to": [{"email": "ada@example.com"}]`)
}

func (s *shop) postTo(order stagetest.Order, change, recipients string) string {
	s.Helper()
	body := fmt.Sprintf(`{"personalizations": [{%s}], "from": {"email": "shop@example.com"}, "subject": "Your order",
		"content": [{"type": "text/plain", "value": "News"}], "custom_args": {"order_id": "%s", "change": "%s"}}`, recipients, order.ID, change)
	response := s.request(http.MethodPost, "/v3/mail/send", body)
	if response.StatusCode != http.StatusAccepted {
		s.Fatalf("send mail: %s", response.Status)
	}
	return response.Header.Get("X-Message-Id")
}

// unsent has it on record that a mail was not sent.
func (s *shop) unsent(order stagetest.Order, change, set string) {
	s.Helper()
	s.exec(`update notifications set message_id = null, sent_at = null, `+set+` where order_id = $1 and change = $2`, order.ID, change)
}

// untold makes a cancelled order whose customer was not told, for a reason.
func (s *shop) untold(refusedFor string) stagetest.Order {
	s.Helper()
	order := stagetest.Place(s, s.pool, events.StatusCancelled)
	s.exec(`insert into notifications (order_id, change, state, claimed_at, refused_for) values ($1, 'order-cancelled', 'refused', now(), $2)`, order.ID, refusedFor)
	s.finish()
	return order
}

// request asks the mailbox for something.
func (s *shop) request(method, path, body string) *http.Response {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.mailAt+path, strings.NewReader(body))
	s.must(err)
	request.Header.Set("Authorization", "Bearer "+mailboxKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	s.must(err)
	s.must(response.Body.Close())
	return response
}

// newBucket is a folder, which is all there is to a bucket.
func newBucket(t *testing.T) bucket {
	t.Helper()
	own := labels
	own.Name = fmt.Sprintf("labels-%016x", rand.Uint64())
	if err := os.Mkdir(filepath.Join(disk, "objects", own.Name), 0o750); err != nil {
		t.Fatal(err)
	}
	return own
}

// labelOf draws a label with an order's number, its tracking number, and what is
// in the parcel: "2 ×", "SKU", and so on.
func labelOf(number, tracking string, contents ...string) []byte {
	document := fpdf.New("P", "mm", "A6", "")
	document.AddPage()
	document.SetFont("Helvetica", "", 9)
	texts := slices.Concat([]string{"Ada Example", tracking[:2] + " " + tracking[2:], number, "CONTENTS"}, contents)
	for i, text := range texts {
		document.Text(10, float64(10+5*i), strings.NewReplacer("×", "\xd7", "…", "\x85").Replace(text)) // as Windows-1252 has them
	}
	var out bytes.Buffer
	if err := document.Output(&out); err != nil {
		panic(err) // nothing is wrong with such a text
	}
	return out.Bytes()
}

// stick puts a label onto a parcel, and writes that down.
func (s *shop) stick(order stagetest.Order, document []byte) {
	s.Helper()
	sum := sha256.Sum256(document)
	s.putLabel(order, document)
	s.exec(`update shipments set label_sha256 = $2 where order_id = $1`, order.ID, sum[:])
}

// ageLabel has it that a label was stored longer ago than any work takes.
func (s *shop) ageLabel(order stagetest.Order) {
	s.Helper()
	then := time.Now().Add(-labelGrace)
	s.must(os.Chtimes(filepath.Join(disk, "objects", s.labels.Name, labelKey(order)), then, then))
}

func labelKey(order stagetest.Order) string { return "labels/" + order.ID.String() + ".pdf" }

func (s *shop) putLabel(order stagetest.Order, pdf []byte) {
	s.Helper()
	_, err := s.labels.open().PutObject(s.Context(), &s3.PutObjectInput{
		Bucket: aws.String(s.labels.Name), Key: aws.String(labelKey(order)), Body: bytes.NewReader(pdf), ContentLength: aws.Int64(int64(len(pdf))),
	})
	s.must(err)
}

// damageLabel spoils a label behind S3's back.
func (s *shop) damageLabel(order stagetest.Order) {
	s.Helper()
	file, err := os.OpenFile(filepath.Join(disk, "objects", s.labels.Name, labelKey(order)), os.O_APPEND|os.O_WRONLY, 0)
	s.must(err)
	_, err = file.WriteString("x")
	s.must(errors.Join(err, file.Close()))
}

func (s *shop) deleteLabel(order stagetest.Order) {
	s.Helper()
	_, err := s.labels.open().DeleteObject(s.Context(), &s3.DeleteObjectInput{Bucket: aws.String(s.labels.Name), Key: aws.String(labelKey(order))})
	s.must(err)
}

func (s *shop) openProvider() {
	s.Helper()
	server, err := sandbox.New(sandbox.Options{Dir: s.ledger, Key: providerKey})
	s.must(err)
	s.sandbox.Store(server)
}

// forge changes the provider's books behind its back: it would never write what
// the audit is to find.
func (s *shop) forge(change func(payments, movements *bbolt.Bucket) error) {
	s.Helper()
	s.must(s.sandbox.Load().Close())
	file, err := bbolt.Open(filepath.Join(s.ledger, "payments.db"), 0o600, nil)
	s.must(err)
	s.must(file.Update(func(tx *bbolt.Tx) error {
		return change(tx.Bucket([]byte("payments")), tx.Bucket([]byte("movements")))
	}))
	s.must(file.Close())
	s.openProvider()
}

// moved is a movement of an order's money that never was.
type moved struct {
	payment string
	kind    payment.Kind
	amount  events.Money
}

func eur(amount int64) events.Money { return events.Money{Amount: amount, Currency: "EUR"} }

// forgeMovements adds lines to the provider's ledger.
func (s *shop) forgeMovements(order stagetest.Order, list ...moved) {
	s.Helper()
	s.forge(func(_, movements *bbolt.Bucket) error {
		for _, one := range list {
			seq, err := movements.NextSequence()
			if err != nil {
				return err
			}
			line, err := json.Marshal(payment.Movement{
				Seq: seq, OrderID: order.ID.String(), PaymentID: one.payment, Kind: one.kind, Amount: one.amount, State: payment.StateCaptured,
			})
			if err != nil {
				return err
			}
			if err := movements.Put(binary.BigEndian.AppendUint64(nil, seq), line); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget has the provider know nothing of an order.
func (s *shop) forget(order stagetest.Order) {
	s.Helper()
	s.forge(func(payments, movements *bbolt.Bucket) error {
		if err := payments.Delete([]byte(order.ID.String())); err != nil {
			return err
		}
		cursor := movements.Cursor()
		for key, line := cursor.First(); key != nil; key, line = cursor.Next() {
			if bytes.Contains(line, []byte(order.ID.String())) {
				if err := cursor.Delete(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// paymentOf is the id of the one payment that the provider knows of an order.
func (s *shop) paymentOf(order stagetest.Order) string {
	s.Helper()
	found, err := s.provider.Find(s.Context(), order.ID.String())
	s.must(err)
	return found.ID
}

func (s *shop) environment() map[string]string {
	return map[string]string{
		"DATABASE_URL": s.pool.Config().ConnString(), "PAYMENT_PROVIDER_URL": s.providerAt, "PAYMENT_PROVIDER_KEY": providerKey,
		"SENDGRID_HOST": s.mailAt, "LABEL_BUCKET": s.labels.Name, "AWS_REGION": s.labels.Region, "AWS_ENDPOINT_URL_S3": s.labels.Endpoint,
		"AWS_ACCESS_KEY_ID": s.labels.AccessKey, "AWS_SECRET_ACCESS_KEY": s.labels.SecretKey,
	}
}

// audit runs the program, with nobody at the terminal.
func (s *shop) audit(args ...string) (code int, stdout, stderr string) {
	s.Helper()
	return s.auditAsking(nil, args...)
}

func (s *shop) auditAsking(ask func() bool, args ...string) (code int, stdout, stderr string) {
	s.Helper()
	var out, trouble bytes.Buffer
	code = run(s.Context(), append([]string{"--settle=0s"}, args...), s.environment(), terminal{out: &out, err: &trouble, ask: ask})
	return code, out.String(), trouble.String()
}
