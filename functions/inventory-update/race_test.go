package function

import (
	"flag"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// Ten thousand take longer than a test should: CI asks for them beside the others.
var buyers = flag.Int("buyers", 1000, "how many orders race for the last 100 units")

// connections are how many deliveries are under way to one function, as many as its
// pod takes at once.
const connections = 100

// TestRaceForTheLastUnits has ever so many orders at once want one of the last 100
// units: exactly 100 get theirs. One more would be oversold, and one less would have
// turned somebody away though there was a unit.
func TestRaceForTheLastUnits(t *testing.T) {
	t.Parallel()
	s := open(t, 2)
	orders := s.crowd(*buyers)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for i, order := range orders {
		group.Go(func() {
			response, err := client.Do(order.Request(t, t.Context(), s.urls[i%len(s.urls)], events.TypePaymentVerified))
			if err != nil {
				t.Errorf("deliver: %v", err)
				return
			}
			defer response.Body.Close() //nolint:errcheck // nothing more is read
			if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
				t.Errorf("delivery answered %d %s, want 200", response.StatusCode, body)
			}
		})
	}
	group.Wait()
	s.wantSold(100, *buyers-100)
	for question, want := range map[string]int{
		`select reserved from stock where sku = '` + stagetest.SKUOne + `'`:                                          100,
		`select sum(quantity) from reservations where sku = '` + stagetest.SKUOne + `'`:                              100,
		`select sum(quantity) from stock_transfers where kind = 'reserve' and sku = '` + stagetest.SKUOne + `'`:      100,
		`select count(*) from stock_transfers where kind not in ('opening', 'reserve')`:                              0,
		`select count(*) from order_events where name = 'order-cancelled' and data #>> '{short,0,available}' <> '0'`: 0,
	} {
		if got := s.count(question); got != want {
			t.Errorf("%s: %d, want %d", question, got, want)
		}
	}
	stagetest.WantNoDeadlock(t, s.pool)
}

// crowd has so many orders of one unit that are paid for, written all at once.
func (s *shop) crowd(number int) []stagetest.Order {
	s.tb.Helper()
	s.paidOrder() // for the articles
	s.exec(`delete from order_events; delete from order_lines; delete from order_contacts; delete from orders`)
	var orders []stagetest.Order
	var heads, lines, past [][]any
	now := time.Now().UTC()
	for range number {
		id := uuid.Must(uuid.NewV7())
		price := events.Money{Amount: 1250, Currency: "EUR"}
		order := stagetest.Order{
			ID: id, Number: "OF-" + id.String(), Total: price, Lines: []events.Line{{SKU: stagetest.SKUOne, Quantity: 1, UnitPrice: price}},
		}
		orders = append(orders, order)
		heads = append(heads, []any{id, order.Number, "payment_verified", price.Amount, price.Currency, stagetest.PaymentMethod, now, now})
		lines = append(lines, []any{id, 1, stagetest.SKUOne, "First", 1, price.Amount})
		past = append(past,
			[]any{id, "order-placed", "storefront", nil, events.TypeOrderPlaced, order.Data(events.TypeOrderPlaced), now},
			[]any{id, "payment-verified", "payment-verification", "order-placed", events.TypePaymentVerified, order.Data(events.TypePaymentVerified), now})
	}
	s.copy("orders", heads, "id", "number", "status", "total_amount", "currency", "payment_method", "placed_at", "updated_at")
	s.copy("order_lines", lines, "order_id", "line", "sku", "name", "quantity", "price_amount")
	s.copy("order_events", past, "order_id", "name", "source", "cause", "type", "data", "occurred_at")
	s.exec(`analyze`)
	return orders
}

func (s *shop) copy(table string, rows [][]any, columns ...string) {
	s.tb.Helper()
	if _, err := s.pool.CopyFrom(s.tb.Context(), pgx.Identifier{table}, columns, pgx.CopyFromRows(rows)); err != nil {
		s.tb.Fatalf("write %s: %v", table, err)
	}
}
