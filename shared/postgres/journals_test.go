package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/postgres"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func lines(t *testing.T, pool *pgxpool.Pool, query string, args ...any) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func run(t *testing.T, pool *pgxpool.Pool, order uuid.UUID, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		var args []any
		if strings.Contains(statement, "$1") {
			args = []any{order}
		}
		if _, err := pool.Exec(t.Context(), statement, args...); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// foldHolds expects that what is there is what the journals come to.
func foldHolds(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	all, err := invariants.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if !strings.Contains(one.Name, "fold_of_its") && !strings.Contains(one.Name, "fold_of_their") {
			continue
		}
		violations, err := invariants.Check(t.Context(), pool, one)
		if err != nil || len(violations) > 0 {
			t.Errorf("%s: %v %v", one.Name, violations, err)
		}
	}
}

const (
	moneyLines = `select concat_ws(' ', kind, debit, credit, amount, currency, cause, actor, reason)
		from money_transfers where order_id = $1 order by id`
	unitLines = `select concat_ws(' ', sku, kind, debit, credit, quantity, cause, actor, reason)
		from stock_transfers where order_id = $1 order by id`
)

func TestMoneyIsJournalled(t *testing.T) {
	t.Parallel()
	pay := func(state, more string) string {
		return `insert into payments (order_id, provider_id, state, amount, currency` + strings.Split(more, "=")[0] + `)
			values ($1, 'pay_1', '` + state + `', 3300, 'EUR'` + strings.Split(more, "=")[1] + `)`
	}
	cancel := `update orders set status = 'cancelled', cancel_reason = 'customer_request' where id = $1`
	held := "authorise customer held 3300 EUR order-placed"
	captured := "capture held captured 3300 EUR inventory-updated"
	me := "database user " + currentUser(t)
	for name, test := range map[string]struct {
		changes []string
		want    []string
	}{
		"held and captured": {
			[]string{pay("authorised", "="), `update payments set state = 'captured', captured_at = now()`},
			[]string{held, captured},
		},
		"given back as the order is cancelled": {
			[]string{pay("authorised", "="), cancel, `update payments set state = 'voided'`},
			[]string{held, "void held customer 3300 EUR order-cancelled"},
		},
		"the hold ran out": {
			[]string{pay("authorised", "="), `update payments set state = 'voided'`},
			[]string{held, "void held customer 3300 EUR inventory-updated"},
		},
		"the capture was declined": {
			[]string{pay("authorised", "="), `update payments set state = 'declined', decline_code = 'x'`},
			[]string{held, "void held customer 3300 EUR inventory-updated"},
		},
		"declined at once": {[]string{pay("declined", ", decline_code=, 'x'")}, []string{}},
		"held and given back before anybody wrote it down": {
			[]string{cancel, pay("voided", "=")},
			[]string{held, "void held customer 3300 EUR order-cancelled"},
		},
		"captured and refunded before anybody wrote it down": {
			[]string{cancel, pay("authorised", "="), `update payments set state = 'refunded'`},
			[]string{held, captured, "refund captured customer 3300 EUR order-cancelled"},
		},
		"refunded in parts, by an operator": {
			[]string{
				pay("captured", "="), `update orders set status = 'shipped'`,
				`begin; set local orderflow.actor = 'ada'; set local orderflow.reason = 'broken'; update payments set refunded_amount = 300; commit`,
				`begin; set local orderflow.actor = 'bob'; update payments set refunded_amount = 1000; commit`,
				`begin; set local orderflow.actor = 'bob'; update payments set state = 'refunded'; commit`,
			},
			[]string{
				held, captured, "refund captured customer 300 EUR ada broken", "refund captured customer 700 EUR bob",
				"refund captured customer 2300 EUR bob",
			},
		},
		"nothing changed": {[]string{pay("authorised", "="), `update payments set state = 'authorised', authorised_at = now()`}, []string{held}},
		"taken back by hand": {
			[]string{pay("captured", "="), `update payments set state = 'voided'`},
			[]string{held, captured, "correction captured held 3300 EUR " + me, "void held customer 3300 EUR inventory-updated"},
		},
		"another amount by hand": {
			[]string{pay("captured", "="), `update payments set amount = 3299`},
			[]string{held, captured, "correction held customer 1 EUR " + me, "correction captured held 1 EUR " + me},
		},
		"deleted by hand": {
			[]string{pay("authorised", "="), `delete from payments`},
			[]string{held, "correction held customer 3300 EUR " + me},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := stagetest.Place(t, pool, events.StatusInventoryUpdated)
			run(t, pool, order.ID, test.changes...)
			if diff := cmp.Diff(test.want, lines(t, pool, moneyLines, order.ID)); diff != "" {
				t.Errorf("transfers (-want +got):\n%s", diff)
			}
			foldHolds(t, pool)
		})
	}
}

func currentUser(t *testing.T) string {
	t.Helper()
	return lines(t, postgrestest.New(t), `select session_user::text`)[0]
}

func TestUnitsAreJournalled(t *testing.T) {
	t.Parallel()
	const (
		reserve = `with line as (insert into reservations select order_id, sku, quantity, 'held' from order_lines where order_id = $1 returning sku, quantity)
			update stock s set reserved = reserved + line.quantity from line where line.sku = s.sku`
		ship = `with line as (update reservations set state = 'shipped' where order_id = $1 returning sku, quantity)
			update stock s set reserved = reserved - line.quantity, on_hand = on_hand - line.quantity, shipped = shipped + line.quantity from line where line.sku = s.sku`
		release = `with line as (update reservations set state = 'released' where order_id = $1 returning sku, quantity)
			update stock s set reserved = reserved - line.quantity from line where line.sku = s.sku`
	)
	reserved := []string{
		"TEST-ONE reserve available reserved 2 payment-verified",
		"TEST-TWO reserve available reserved 1 payment-verified",
	}
	me := "database user " + currentUser(t)
	for name, test := range map[string]struct {
		changes []string
		want    []string
	}{
		"shipped": {[]string{reserve, ship}, append(slices.Clone(reserved),
			"TEST-ONE ship reserved shipped 2 inventory-updated", "TEST-TWO ship reserved shipped 1 inventory-updated")},
		"released": {[]string{reserve, release}, append(slices.Clone(reserved),
			"TEST-ONE release reserved available 2 order-cancelled", "TEST-TWO release reserved available 1 order-cancelled")},
		"another quantity by hand": {
			[]string{reserve, `update reservations set quantity = 1 where sku = 'TEST-ONE'; update stock set reserved = 1 where sku = 'TEST-ONE'`},
			append(slices.Clone(reserved), "TEST-ONE correction reserved available 1 "+me),
		},
		"taken back by hand": {
			[]string{reserve, ship, `update reservations set state = 'held' where sku = 'TEST-TWO'; update stock set reserved = 1, on_hand = 100, shipped = 0 where sku = 'TEST-TWO'`},
			append(slices.Clone(reserved), "TEST-ONE ship reserved shipped 2 inventory-updated", "TEST-TWO ship reserved shipped 1 inventory-updated",
				"TEST-TWO correction shipped reserved 1 "+me),
		},
		"deleted by hand": {
			[]string{reserve, `delete from reservations; update stock set reserved = 0`},
			append(slices.Clone(reserved), "TEST-ONE correction reserved available 2 "+me, "TEST-TWO correction reserved available 1 "+me),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := stagetest.Place(t, pool, events.StatusInventoryUpdated)
			run(t, pool, order.ID, test.changes...)
			if diff := cmp.Diff(test.want, lines(t, pool, unitLines, order.ID)); diff != "" {
				t.Errorf("transfers (-want +got):\n%s", diff)
			}
			foldHolds(t, pool)
		})
	}
}

// What is written to the stock itself by hand, or by who seeds a shop, is on record too.
func TestStockIsJournalled(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	run(t, pool, uuid.Nil, `insert into products (sku, name, description, category, price_amount, currency) values ('TEA', '', '', '', 1, 'EUR')`,
		`insert into stock (sku, opening, on_hand) values ('TEA', 10, 10)`,
		`update stock set received = received + 5, on_hand = on_hand + 5`,
		`update stock set adjusted = adjusted - 3, on_hand = on_hand - 3`,
		`update stock set adjusted = adjusted + 1, on_hand = on_hand + 1`,
		`update stock set opening = 8, on_hand = on_hand - 2`,
		`update stock set opening = 9, received = 4`)
	foldHolds(t, pool)
	run(t, pool, uuid.Nil, `delete from stock`)
	foldHolds(t, pool)
	want := []string{
		"opening supplier available 10", "receive supplier available 5", "adjust available adjusted 3", "adjust adjusted available 1",
		"correction available supplier 2", "correction supplier available 1", "correction available supplier 1",
		"correction available supplier 9", "correction available supplier 4", "correction adjusted available 2",
	}
	got := lines(t, pool, `select concat_ws(' ', kind, debit, credit, quantity) from stock_transfers order by id`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transfers (-want +got):\n%s", diff)
	}
	if unsigned := lines(t, pool, `select kind from stock_transfers where actor is null`); len(unsigned) > 0 {
		t.Errorf("nobody is on record for %v", unsigned)
	}
}

func TestJournalsAreKept(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := stagetest.Place(t, pool, events.StatusInventoryUpdated)
	run(t, pool, order.ID, `insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'p', 'authorised', 3300, 'EUR')`,
		`insert into reservations select order_id, sku, quantity, 'held' from order_lines`,
		`insert into stock_acts (action, reference, actor) values ('receive', 'r', 'ada')`,
		`insert into stock_act_lines values (1, 'TEST-ONE', 1)`,
		`insert into repairs (subject, figure, was, became, because, actor, reason) values ('s', 'f', '1', '2', 'b', 'ada', 'r')`)
	for table, column := range map[string]string{
		"money_transfers": "amount", "stock_transfers": "quantity", "stock_acts": "actor", "stock_act_lines": "quantity", "repairs": "actor",
	} {
		for _, statement := range []string{
			fmt.Sprintf(`update %s set %s = %[2]s`, table, column), `delete from ` + table, `truncate ` + table + ` cascade`,
		} {
			if _, err := pool.Exec(t.Context(), statement); err == nil {
				t.Errorf("%q was allowed", statement)
			}
		}
	}
	for _, statement := range []string{
		`truncate payments`, `truncate reservations`, `truncate stock cascade`,
		`update payments set currency = 'USD'`, `update reservations set sku = 'TEST-TWO' where sku = 'TEST-ONE'`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%q was allowed", statement)
		}
	}
}

// history has orders in the state that functions leave them behind in.
func history(t *testing.T, pool *pgxpool.Pool) (open []stagetest.Order) {
	t.Helper()
	for state, status := range map[string]events.Status{
		"authorised": events.StatusInventoryUpdated, "captured": events.StatusShipped, "voided": events.StatusCancelled, "refunded": events.StatusCancelled,
	} {
		for range 5 {
			order := stagetest.Place(t, pool, status)
			units := map[string]string{"authorised": "held", "captured": "shipped"}[state]
			run(t, pool, order.ID, `insert into payments (order_id, provider_id, state, amount, currency, authorised_at)
				values ($1, $1::uuid::text, '`+state+`', 3300, 'EUR', now())`)
			if units != "" {
				run(t, pool, order.ID, `insert into reservations select order_id, sku, quantity, '`+units+`' from order_lines where order_id = $1`)
			}
			if state == "authorised" {
				open = append(open, order)
			}
		}
	}
	run(t, pool, uuid.Nil, `update stock s set reserved = r.held, on_hand = on_hand - r.gone + 7, shipped = r.gone, received = 7 from (
		select sku, coalesce(sum(quantity) filter (where state = 'held'), 0) as held, coalesce(sum(quantity) filter (where state = 'shipped'), 0) as gone
		from reservations group by sku) r where r.sku = s.sku`)
	return open
}

// The journals are filled while functions write: nothing is missing afterwards, and
// nothing twice.
func TestJournalsOfWhatWasThere(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	migrateTo(t, pool, 4)
	open := history(t, pool)
	var group sync.WaitGroup
	migrated := make(chan struct{})
	for i, order := range open {
		group.Go(func() {
			for turn := 0; ; turn++ { // each order is shipped as soon as can be, and more come until the end
				ship(t, pool, order)
				select {
				case <-migrated:
					return
				default:
				}
				order = stagetest.Place(t, pool, events.StatusInventoryUpdated)
				reserve(t, pool, order, fmt.Sprintf("%d %d", i, turn))
			}
		})
	}
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Error(err)
	}
	close(migrated)
	group.Wait()
	foldHolds(t, pool)
	before := lines(t, pool, `select count(*)::text from money_transfers`)
	if diff := cmp.Diff([]string{"authorise 0", "capture 0"}, lines(t, pool, `select kind || ' ' || count(*) - (
		select count(*) from payments where state in ('captured', 'refunded') or kind = 'authorise')
		from money_transfers where kind in ('authorise', 'capture') group by kind order by kind`)); diff != "" {
		t.Errorf("transfers too many (-want +got):\n%s", diff)
	}
	run(t, pool, uuid.Nil, `delete from goose_db_version where version_id >= 5`) // as if it had died at the end
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, lines(t, pool, `select count(*)::text from money_transfers`)); diff != "" {
		t.Errorf("a second run adds to the journal (-before +after):\n%s", diff)
	}
	foldHolds(t, pool)
}

func reserve(t *testing.T, pool *pgxpool.Pool, order stagetest.Order, payment string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, $2, 'authorised', 3300, 'EUR')`, order.ID, payment)
		batch.Queue(`select from stock order by sku for no key update`)
		batch.Queue(`update stock s set reserved = reserved + l.quantity, received = received + l.quantity, on_hand = on_hand + l.quantity from order_lines l where l.order_id = $1 and l.sku = s.sku`, order.ID)
		batch.Queue(`insert into reservations select order_id, sku, quantity, 'held' from order_lines where order_id = $1`, order.ID)
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if err != nil {
		t.Error(err)
	}
}

func ship(t *testing.T, pool *pgxpool.Pool, order stagetest.Order) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`update payments set state = 'captured' where order_id = $1`, order.ID)
		batch.Queue(`select from stock order by sku for no key update`)
		batch.Queue(`update stock s set reserved = reserved - l.quantity, on_hand = on_hand - l.quantity, shipped = shipped + l.quantity
			from order_lines l where l.order_id = $1 and l.sku = s.sku`, order.ID)
		batch.Queue(`update reservations set state = 'shipped' where order_id = $1`, order.ID)
		return tx.SendBatch(t.Context(), batch).Close()
	})
	if err != nil {
		t.Error(err)
	}
}

// migrateTo takes the schema back to an earlier version.
func migrateTo(t *testing.T, pool *pgxpool.Pool, version int64) {
	t.Helper()
	db := stdlib.OpenDB(*pool.Config().ConnConfig)
	defer func(db *sql.DB) { _ = db.Close() }(db)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, postgres.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(context.WithoutCancel(t.Context()), version); err != nil {
		t.Fatal(err)
	}
	pool.Reset() // what is prepared is of the schema as it was
}
