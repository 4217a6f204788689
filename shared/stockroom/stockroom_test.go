package stockroom_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
	"github.com/orderflow-project/orderflow/shared/stockroom"
)

const one, two, fresh = stagetest.SKUOne, stagetest.SKUTwo, "TEST-NEW"

// open has two articles, 100 units of each, and a third that never had any. Of the
// first an order holds 40.
func open(t *testing.T) (*stockroom.Room, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusInventoryUpdated)
	for _, sql := range []string{
		`update order_lines set quantity = 40 where sku = 'TEST-ONE' and order_id = $1`,
		`insert into reservations values ($1, 'TEST-ONE', 40, 'held')`,
		`update stock set reserved = 40 where sku = 'TEST-ONE' and $1::uuid is not null`,
		`insert into products (sku, name, description, category, price_amount, currency) select 'TEST-NEW', 'New', '', '', 1, 'EUR' where $1::uuid is not null`,
	} {
		if _, err := pool.Exec(t.Context(), sql, order.ID); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return stockroom.New(pool), pool
}

func line(sku string, quantity int64) stockroom.Line {
	return stockroom.Line{SKU: sku, Quantity: quantity}
}

func by(reference string) stockroom.Act {
	return stockroom.Act{By: "ada", Reference: reference, Reason: "counted"}
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	room, pool := open(t)
	if _, err := room.Receive(t.Context(), []stockroom.Line{line(one, 5)}, by("PO-1")); err != nil {
		t.Fatal(err)
	}
	before := stagetest.Snapshot(t, pool)
	lines := func(all ...stockroom.Line) []stockroom.Line { return all }
	for name, test := range map[string]struct {
		do   func([]stockroom.Line, stockroom.Act) error
		line []stockroom.Line
		act  stockroom.Act
		want error
		says string
	}{
		"a receipt of nothing":               {receive(t, room), lines(), by("PO-2"), stockroom.ErrInvalid, "no article"},
		"a receipt without a reference":      {receive(t, room), lines(line(one, 5)), by(""), stockroom.ErrInvalid, "reference"},
		"a receipt by nobody":                {receive(t, room), lines(line(one, 5)), stockroom.Act{Reference: "PO-2"}, stockroom.ErrInvalid, "nobody"},
		"no units received":                  {receive(t, room), lines(line(one, 0)), by("PO-2"), stockroom.ErrInvalid, "0 TEST-ONE"},
		"units that go received":             {receive(t, room), lines(line(two, 1), line(one, -5)), by("PO-2"), stockroom.ErrInvalid, "-5 TEST-ONE"},
		"too many units":                     {receive(t, room), lines(line(one, 1<<40)), by("PO-2"), stockroom.ErrInvalid, "TEST-ONE"},
		"an article twice":                   {receive(t, room), lines(line(one, 5), line(one, 5)), by("PO-2"), stockroom.ErrInvalid, "twice"},
		"no such article":                    {receive(t, room), lines(line(one, 5), line("NO-SUCH", 1)), by("PO-2"), stockroom.ErrNoArticle, "NO-SUCH"},
		"a reference with another quantity":  {receive(t, room), lines(line(one, 6)), by("PO-1"), stockroom.ErrReference, "by ada"},
		"a reference with another article":   {receive(t, room), lines(line(two, 5)), by("PO-1"), stockroom.ErrReference, "by ada"},
		"a reference with one article more":  {receive(t, room), lines(line(one, 5), line(two, 5)), by("PO-1"), stockroom.ErrReference, "by ada"},
		"a receipt's reference for a count":  {adjust(t, room), lines(line(one, 5)), by("PO-1"), stockroom.ErrReference, "receive"},
		"an adjustment without a reason":     {adjust(t, room), lines(line(one, 5)), stockroom.Act{By: "ada"}, stockroom.ErrInvalid, "reason"},
		"an adjustment by nothing":           {adjust(t, room), lines(line(one, 0)), by(""), stockroom.ErrInvalid, "0 TEST-ONE"},
		"units gone that an order holds":     {adjust(t, room), lines(line(two, -1), line(one, -66)), by(""), stockroom.ErrReserved, "of TEST-ONE there are 105, of which orders hold 40"},
		"units gone that never were":         {adjust(t, room), lines(line(fresh, -1)), by(""), stockroom.ErrReserved, "of TEST-NEW there are 0"},
		"units gone of what isn't sold here": {adjust(t, room), lines(line("NO-SUCH", -1)), by(""), stockroom.ErrNoArticle, "NO-SUCH"},
	} {
		err := test.do(test.line, test.act)
		if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, test.want, test.says)
		}
	}
	if diff := cmp.Diff(before, stagetest.Snapshot(t, pool)); diff != "" {
		t.Errorf("what was refused has changed the database (-before +after):\n%s", diff)
	}
}

func receive(t *testing.T, room *stockroom.Room) func([]stockroom.Line, stockroom.Act) error {
	return func(lines []stockroom.Line, act stockroom.Act) error {
		_, err := room.Receive(t.Context(), lines, act)
		return err
	}
}

func adjust(t *testing.T, room *stockroom.Room) func([]stockroom.Line, stockroom.Act) error {
	return func(lines []stockroom.Line, act stockroom.Act) error {
		_, err := room.Adjust(t.Context(), lines, act)
		return err
	}
}

func TestReceiveAndAdjust(t *testing.T) {
	t.Parallel()
	room, pool := open(t)
	received, err := room.Receive(t.Context(), []stockroom.Line{line(two, 20), line(fresh, 7)}, by("PO-17"))
	if err != nil || received.Before {
		t.Fatalf("Receive() = %+v, %v", received, err)
	}
	// The order of the lines, and who enters it again, make no other receipt of it.
	again, err := room.Receive(t.Context(), []stockroom.Line{line(fresh, 7), line(two, 20)}, stockroom.Act{By: "bob", Reference: "PO-17"})
	if err != nil || !again.Before || again.ID != received.ID || again.By != "ada" || !again.At.Equal(received.At) {
		t.Errorf("Receive() again = %+v, %v, want %+v from before", again, err, received)
	}
	for _, adjustment := range []stockroom.Line{line(one, -60), line(two, 1), line(two, 1), line(two, -3)} {
		if _, err := room.Adjust(t.Context(), []stockroom.Line{adjustment}, by("")); err != nil {
			t.Error(err)
		}
	}
	all, err := room.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []stockroom.Article{
		{SKU: fresh, Name: "New", Received: 7, OnHand: 7, Available: 7},
		{SKU: one, Name: "First", Opening: 100, Adjusted: -60, OnHand: 40, Reserved: 40},
		{SKU: two, Name: "Second", Opening: 100, Received: 20, Adjusted: -1, OnHand: 119, Available: 119},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
	shown, err := room.Show(t.Context(), one, 2)
	if err != nil || len(shown.Last) != 2 {
		t.Fatalf("Show() = %+v, %v, want two transfers", shown, err)
	}
	gone := stockroom.Transfer{At: shown.Last[0].At, Kind: "adjust", Quantity: 60, From: "available", To: "adjusted", By: "ada", Reason: "counted"}
	if diff := cmp.Diff(gone, shown.Last[0]); diff != "" || shown.Last[1].OrderID == "" || shown.Last[1].Cause != "payment-verified" {
		t.Errorf("last transfers %+v (-want +got):\n%s", shown.Last, diff)
	}
	if _, err := room.Show(t.Context(), "NO-SUCH", 1); !errors.Is(err, stockroom.ErrNoArticle) {
		t.Errorf("Show() of no article = %v", err)
	}
	booksHold(t, pool)
}

func booksHold(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	all, err := invariants.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if strings.HasPrefix(one.Name, "stock_is") || one.Name == "goods_came_on_record" || one.Name == "corrections_are_explained" {
			if violations, err := invariants.Check(t.Context(), pool, one); err != nil || len(violations) > 0 {
				t.Errorf("%s: %v %v", one.Name, violations, err)
			}
		}
	}
}

// A receipt that several enter at once, as a retry does whose answer is late, is taken
// in once, though it is the article's first.
func TestReceivedOnceByManyAtOnce(t *testing.T) {
	t.Parallel()
	room, pool := open(t)
	var before, taken int
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			done, err := room.Receive(t.Context(), []stockroom.Line{line(fresh, 5), line(one, 5)}, by(fmt.Sprintf("PO-%d", i%3)))
			if err != nil {
				t.Error(err)
			}
			mutex.Lock()
			defer mutex.Unlock()
			if done.Before {
				before++
			} else {
				taken++
			}
		})
	}
	group.Wait()
	shown, err := room.Show(t.Context(), fresh, 10)
	if err != nil || taken != 3 || before != 27 || shown.OnHand != 15 || len(shown.Last) != 3 {
		t.Errorf("%d taken in, %d known before: %+v, %v; want 3, 27 and 15 units", taken, before, shown, err)
	}
	booksHold(t, pool)
	stagetest.WantNoDeadlock(t, pool)
}

// Goods come and go while orders reserve and release what they need, in whatever order
// their lines stand.
func TestBesideOrders(t *testing.T) {
	t.Parallel()
	room, pool := open(t)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			lines := []stockroom.Line{line(one, 2), line(two, 2)}
			if worker%2 == 0 {
				slices.Reverse(lines)
			}
			for turn := range 15 {
				var err error
				switch worker % 4 {
				case 0, 1:
					_, err = room.Receive(t.Context(), lines, by(fmt.Sprintf("PO-%d-%d", worker, turn)))
				case 2:
					_, err = room.Adjust(t.Context(), []stockroom.Line{line(two, -1), line(one, -1)}, by(""))
				default:
					err = reserveAndShip(t, pool)
				}
				if err != nil {
					t.Errorf("worker %d: %v", worker, err)
				}
			}
		})
	}
	group.Wait()
	booksHold(t, pool)
	stagetest.WantNoDeadlock(t, pool)
}

// reserveAndShip does what functions do to the stock, by the statements' own order.
func reserveAndShip(t *testing.T, pool *pgxpool.Pool) error {
	order := stagetest.Place(t, pool, events.StatusInventoryUpdated)
	for _, change := range [][2]string{
		{
			`update stock s set reserved = reserved + l.quantity from order_lines l where l.order_id = $1 and l.sku = s.sku`,
			`insert into reservations select order_id, sku, quantity, 'held' from order_lines where order_id = $1`,
		},
		{
			`update stock s set reserved = reserved - l.quantity, on_hand = on_hand - l.quantity, shipped = shipped + l.quantity from order_lines l where l.order_id = $1 and l.sku = s.sku`,
			`update reservations set state = 'shipped' where order_id = $1`,
		},
	} {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `select from stock where sku in ('TEST-ONE', 'TEST-TWO') order by sku for no key update`); err != nil {
				return err
			}
			for _, sql := range change {
				if _, err := tx.Exec(t.Context(), sql, order.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
