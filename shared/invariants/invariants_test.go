package invariants_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

func all(t *testing.T) []invariants.Invariant {
	t.Helper()
	list, err := invariants.All()
	if err != nil || len(list) == 0 {
		t.Fatalf("All() = %d invariants, %v", len(list), err)
	}
	return list
}

// violated names the invariants that don't hold.
func violated(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	var names []string
	for _, one := range all(t) {
		violations, err := invariants.Check(t.Context(), pool, one)
		if err != nil {
			t.Fatal(err)
		}
		if len(violations) > 0 {
			names = append(names, one.Name)
		}
	}
	return names
}

func TestEmptyShopIsClean(t *testing.T) {
	t.Parallel()
	if names := violated(t, postgrestest.New(t)); len(names) > 0 {
		t.Errorf("violated in an empty shop: %v", names)
	}
}

// consistent makes one shipped order of which everything is as it must be.
func consistent(t *testing.T, pool *pgxpool.Pool) stagetest.Order {
	t.Helper()
	order := stagetest.Place(t, pool, events.StatusShipped)
	attempted(t, pool, order)
	change(t, pool, order, `insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'pay_' || $1::uuid, 'captured', 3300, 'EUR')`)
	change(t, pool, order, `insert into reservations select order_id, sku, quantity, 'shipped' from order_lines where order_id = $1`)
	change(t, pool, order, `update stock s set on_hand = on_hand - r.quantity, shipped = r.quantity from reservations r where r.sku = s.sku and r.order_id = $1`)
	change(t, pool, order, `insert into shipments select order_id, data ->> 'carrier', data ->> 'tracking_number', 'k', 'h', now() from order_events where order_id = $1 and name = 'order-shipped'`)
	change(t, pool, order, `insert into notifications (order_id, change, state, claimed_at, message_id, sent_at)
		select $1, c, 'sent', now(), c, now() from unnest(array['order-placed', 'order-shipped']) c`)
	change(t, pool, order, `update order_events set published_at = now() where order_id = $1 and type is not null`)
	for _, kind := range events.Catalog() {
		for _, reader := range []string{"customer-notification", "order-analytics"} {
			if kind.Status != events.StatusCancelled && !kind.Repeats {
				change(t, pool, order, fmt.Sprintf(`insert into order_events (order_id, name, source, cause, occurred_at)
					values ($1, '%s#%s', '%s', '%s', now())`, kind.Name, reader, reader, kind.Name))
			}
		}
	}
	change(t, pool, order, `insert into analytics_minutes
		select date_trunc('minute', occurred_at, 'UTC'), m.metric, m.dimension, 0, m.value
		from order_events, (values ('orders_shipped', '', 1), ('items_sold', 'TEST-ONE', 2), ('items_sold', 'TEST-TWO', 1), ('revenue', 'EUR', 3300)) m (metric, dimension, value)
		where order_id = $1 and name = 'order-shipped'`)
	change(t, pool, order, `insert into analytics_minutes select date_trunc('minute', occurred_at, 'UTC'), 'orders_placed', '', 0, 1
		from order_events where order_id = $1 and name = 'order-placed'`)
	return order
}

// attempted writes down the attempts of a shipped order.
func attempted(t *testing.T, pool *pgxpool.Pool, order stagetest.Order) {
	t.Helper()
	change(t, pool, order, `insert into payment_attempts
		(order_id, step, key, request_hash, amount, currency, source, cause, started_at, ended_at, outcome, provider_id)
		select o.id, a.step, a.step || '/' || o.id, sha256(convert_to(a.step || o.id, 'UTF8')), 3300, 'EUR', a.source, a.cause, now(), now(), a.outcome, 'pay_' || o.id
		from (values ('authorise', 'payment-verification', 'order-placed', 'authorised'),
			('capture', 'shipment-preparation', 'inventory-updated', 'captured')) as a (step, source, cause, outcome),
			orders o where o.id = $1`)
}

func change(t *testing.T, pool *pgxpool.Pool, order stagetest.Order, sql string) {
	t.Helper()
	args := []any{order.ID}
	if !strings.Contains(sql, "$1") {
		args = nil
	}
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// returned has an order's first return happen, which says what is given beside the
// order's own.
func returned(data string) string {
	return `insert into order_events (order_id, name, source, type, data, occurred_at)
		select id, 'order-returned/1', 'backoffice', 'orderflow.order.returned.v1', jsonb_build_object('order_id', id, 'number', number,
		'total', jsonb_build_object('amount', total_amount, 'currency', currency)) || '` + data + `', now() from orders where id = $1`
}

// attempt is another attempt at an order's release, by its key and its outcome.
func attempt(key, outcome string) string {
	return `insert into payment_attempts (order_id, step, key, request_hash, amount, currency, source, cause, started_at, ended_at, outcome, failure)
		select $1, 'release', ` + key + `, sha256('r'), 3300, 'EUR', 'shipment-preparation', 'inventory-updated', now(),
			case when o.outcome is not null then now() end, o.outcome, case when o.outcome in ('unknown', 'refused') then 'timeout' end
		from (select ` + outcome + `::text) as o (outcome)`
}

// TestEachInvariantCanBeViolated breaks one thing at a time: a check that can't
// fail is none.
func TestEachInvariantCanBeViolated(t *testing.T) {
	t.Parallel()
	broken := map[string]string{
		"stock_is_conserved":                         `alter table stock drop constraint nothing_vanishes; update stock set on_hand = on_hand + 1`,
		"stock_reserved_is_held":                     `update stock set reserved = 1 where sku = 'TEST-ONE'`,
		"stock_is_the_fold_of_its_journal":           `update stock set reserved = 1 where sku = 'TEST-ONE'`,
		"stock_shipped_was_reserved":                 `update stock set shipped = shipped + 1, on_hand = on_hand - 1`,
		"orders_are_reserved_whole":                  `delete from reservations where order_id = $1 and sku = 'TEST-TWO'`,
		"reservations_follow_the_order":              `update reservations set state = 'held' where order_id = $1`,
		"money_is_kept_only_for_shipped_orders":      `update payments set state = 'voided' where order_id = $1`,
		"payments_are_the_orders_total":              `update payments set amount = 3299 where order_id = $1`,
		"payments_are_the_fold_of_their_journal":     `alter table payments disable trigger journal_payment; update payments set state = 'voided' where order_id = $1`,
		"reservations_are_the_fold_of_their_journal": `alter table reservations disable trigger journal_reservations; update reservations set state = 'released' where order_id = $1`,
		"transfers_follow_the_orders_story":          `insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause) values ($1, 'refund', 'captured', 'customer', 1, 'EUR', 'order-placed')`,
		"corrections_are_explained":                  `update payments set state = 'voided' where order_id = $1`,
		"goods_came_on_record":                       `insert into stock_transfers (sku, kind, debit, credit, quantity, act_id, actor) values ('TEST-ONE', 'receive', 'supplier', 'available', 1, 99, 'x')`,
		"status_is_the_last_event":                   `update orders set status = 'inventory_updated' where id = $1`,
		"history_is_a_legal_path":                    `delete from order_events where order_id = $1 and name = 'payment-verified'`,
		"every_effect_has_a_cause":                   `update order_events set cause = 'never' where order_id = $1 and name = 'order-shipped'`,
		"cancelled_for_the_told_reason":              `update orders set status = 'cancelled', cancel_reason = 'out_of_stock' where id = $1`,
		"shipped_orders_have_one_shipment":           `delete from shipments where order_id = $1`,
		"mails_have_a_cause":                         `insert into notifications (order_id, change, state, claimed_at) values ($1, 'order-cancelled', 'refused', now())`,
		"refused_mails_are_explained":                `update notifications set state = 'refused', message_id = null, sent_at = null, refused_for = 'mail_refused' where order_id = $1 and change = 'order-shipped'`,
		"superseded_mails_were_overtaken":            `update notifications set state = 'superseded', message_id = null, sent_at = null where order_id = $1 and change = 'order-placed'; delete from notifications where order_id = $1 and change = 'order-shipped'`,
		"no_personal_data_in_events":                 `update order_events set data = data || '{"note": "for ADA@example.com"}' where order_id = $1 and name = 'order-placed'`,
		"events_name_the_payment":                    `update payments set provider_id = 'pay_another' where order_id = $1`,
		"traces_are_unbroken":                        `update order_events set traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' where order_id = $1 and name = 'order-shipped'`,
		"rows_have_their_event":                      `delete from order_events where order_id = $1 and name = 'inventory-updated'`,
		"events_tell_of_their_order":                 `update order_events set data = jsonb_set(data, '{lines,0,quantity}', '9') where order_id = $1 and name = 'order-shipped'`,
		"every_order_is_final":                       `update orders set status = 'placed' where id = $1`,
		"every_event_is_published":                   `update order_events set published_at = null where order_id = $1 and name = 'order-shipped'`,
		"every_reader_has_handled":                   `delete from order_events where order_id = $1 and name = 'order-placed#order-analytics'`,
		"attempts_are_settled":                       attempt(`'release/' || $1::uuid`, `'unknown'`),
		"attempts_are_of_their_order":                `update orders set total_amount = 1 where id = $1`,
		"money_moves_by_attempts_on_record":          `insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause) values ($1, 'refund', 'captured', 'customer', 1, 'EUR', 'inventory-updated')`,
		"every_change_is_mailed":                     `delete from notifications where order_id = $1 and change = 'order-shipped'`,
		"dead_letters_are_dealt_with_on_record":      `insert into dead_letters (event_id, event_source, event_type, event, state, first_at, last_at) values ('1', 's', 't', '{}', 'redriven', now(), now())`,
		"figures_are_the_sum_of_their_minutes":       `update analytics_rollups set value = value + 1 where metric = 'revenue' and unit = 'day'`,
		"analytics_are_the_fold_of_events":           `update analytics_minutes set value = value + 1 where metric = 'revenue'`,
		"mail_evidence_is_explained":                 `insert into mail_events values ('e1', $1, 'order-shipped', 'delivered', 'another', '', now(), now())`,
		"mails_by_evidence_have_it":                  `update notifications set by_evidence = true where order_id = $1`,
		"operators_sign_what_they_do":                `update order_events set source = 'backoffice' where order_id = $1 and name = 'order-shipped'`,
		"returns_are_carried_out":                    returned(`{"return_number": 1, "reason": "goodwill", "lines": [], "refund": {"amount": 3301, "currency": "EUR"}}`),
		"providers_cancel_for_what_they_told":        `update order_events set source = 'provider-webhooks' where order_id = $1 and name = 'order-shipped'`,
	}
	for _, one := range all(t) {
		t.Run(one.Name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			if names := violated(t, pool); len(names) > 0 {
				t.Fatalf("violated before anything was broken: %v", names)
			}
			sql, known := broken[one.Name]
			if !known {
				t.Fatal("this invariant has no way to break it in this test")
			}
			if one.Name == "cancelled_for_the_told_reason" {
				change(t, pool, order, `insert into order_events (order_id, name, source, cause, type, data, occurred_at)
					values ($1, 'order-cancelled', 'storefront', null, 'x', '{"reason": "customer_request"}', now())`)
			}
			for statement := range strings.SplitSeq(sql, ";") {
				change(t, pool, order, statement)
			}
			if names := violated(t, pool); !slices.Contains(names, one.Name) {
				t.Errorf("%s doesn't notice; violated: %v", one.Name, names)
			}
		})
	}
}

// TestFurtherWaysToViolate are those that one way each doesn't show.
func TestFurtherWaysToViolate(t *testing.T) {
	t.Parallel()
	traced := func(name, trace string) string {
		return fmt.Sprintf(`update order_events set traceparent = '00-%s-b7ad6b7169203331-01' where order_id = $1 and name like '%s'; `, trace, name)
	}
	const one, another = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c"
	letter := func(content, reason string) string {
		return `insert into dead_letters (event_id, event_source, event_type, subject, event, error_data, first_at, last_at)
			select id || '/order-placed', 's', 't', '', ` + content + `, ` + reason + `, now(), now() from orders where id = $1`
	}
	done := func(reason, data, failure string) string {
		return `with l as (` + letter(`''`, `''`) + ` returning id) insert into dead_letter_acts
			(letter_id, action, actor, reason, data, was, times, began_at, ended_at, outcome, error)
			select id, 'redrive', 'bob', ` + reason + `, convert_to(` + data + `, 'UTF8'), 'open', 1, now(), now(), 'failed', ` + failure + ` from l`
	}
	const secrets, events = "no_personal_data_in_events", "events_tell_of_their_order"
	const signed, carried = "operators_sign_what_they_do", "returns_are_carried_out"
	const unsigned = `insert into order_acts (order_id, action, event, reason, actor) values ($1, 'cancel', 'order-shipped', 'no', 'ada')`
	const back = `{"return_number": 1, "reason": "not_wanted", "lines": [{"sku": "TEST-ONE", "quantity": 1, "restocked": true}], "refund": {"amount": 1250, "currency": "EUR"}}`
	const handled = `; insert into order_events (order_id, name, source, cause, occurred_at) values ($1, 'order-returned/1#order-cancellation', 'order-cancellation', 'order-returned/1', now())`
	caused := func(change string) string {
		return `; update ` + change + ` from (select set_config('orderflow.cause', 'order-returned/1', true)) c where order_id = $1`
	}
	changed := func(from, to string) string { return returned(strings.Replace(back, from, to, 1)) }
	for name, test := range map[string]struct{ invariant, change string }{
		"a name in a text":             {secrets, `update order_events set data = data || '{"note": "for Ada Example"}' where order_id = $1 and name = 'order-placed'`},
		"a name on a line of its own":  {secrets, `update order_events set data = data || '{"note": "for\nADA EXAMPLE\n"}' where order_id = $1 and name = 'order-placed'`},
		"a name in quotes":             {secrets, `update order_events set data = data || '{"note": [{"by": "\"Ada Example\""}]}' where order_id = $1 and name = 'order-placed'`},
		"a name as a key":              {secrets, `update order_events set data = data || '{"Ada Example": 1}' where order_id = $1 and name = 'order-placed'`},
		"a name of other letters":      {secrets, `update order_contacts set name = 'Łucja "Zoë" Żółć' where order_id = $1; update order_events set data = data || '{"note": "für Łucja \"Zoë\" Żółć"}' where order_id = $1 and name = 'order-placed'`},
		"a street in a text":           {secrets, `update order_events set data = data || '{"note": "to 1 Test Street, again"}' where order_id = $1 and name = 'order-placed'`},
		"a second line of an address":  {secrets, `update order_contacts set line2 = 'c/o Grace' where order_id = $1; update order_events set data = data || '{"note": "c/o grace"}' where order_id = $1 and name = 'order-placed'`},
		"a name for a carrier":         {secrets, `update order_events set data = data || '{"carrier": "Ada Example"}' where order_id = $1 and name = 'order-shipped'`},
		"a name for a tracking number": {secrets, `update order_events set data = data || '{"tracking_number": "Ada Example"}' where order_id = $1 and name = 'order-placed'`},
		"a mail address in a failure":  {secrets, `update notifications set last_error = 'no such mailbox: <ada@example.com>' where order_id = $1`},
		"a name in a journal":          {secrets, `insert into money_transfers (order_id, kind, debit, credit, amount, currency, actor, reason) values ($1, 'correction', 'held', 'customer', 1, 'EUR', 'bob', 'called by Ada Example')`},
		"a name in a journal of units": {secrets, `insert into stock_transfers (sku, order_id, kind, debit, credit, quantity, actor, reason) values ('TEST-ONE', $1, 'correction', 'reserved', 'available', 1, 'bob', 'called by Ada Example')`},
		"a name in a repair":           {secrets, `insert into repairs (subject, figure, was, became, because, actor, reason) select 'order ' || id, 'f', 'a', 'b', 'c', 'bob', 'called by Ada Example' from orders where id = $1`},
		"a name in a dead letter":      {secrets, letter(`'{"data": {"to": "Ada Example"}}'`, `''`)},
		"a name beside broken bytes":   {secrets, letter(`'\xff00'::bytea || 'Ada Example' || '\x00fe'::bytea`, `''`)},
		"a street in an answer":        {secrets, letter(`''`, `'can''t parse "1 Test Street"'`)},
		"a dead letter by its subject": {secrets, `insert into dead_letters (event_id, event_source, event_type, subject, event, first_at, last_at) values ('x', 's', 't', '$1', 'ada@example.com', now(), now())`},
		"a name in a reason":           {secrets, done(`'for Ada Example'`, `null`, `null`)},
		"a name in an edit":            {secrets, done(`'r'`, `'{"to": "Ada Example"}'`, `null`)},
		"a name in a failure":          {secrets, done(`'r'`, `null`, `'503 Ada Example'`)},
		"redriven by nobody":           {"dead_letters_are_dealt_with_on_record", letter(`''`, `''`) + `; update dead_letters set state = 'redriven'`},
		"never sent":                   {"dead_letters_are_dealt_with_on_record", done(`''`, `null`, `'503'`) + `; update dead_letters set state = 'redriven'`},
		"discarded by a redrive":       {"dead_letters_are_dealt_with_on_record", done(`''`, `null`, `null`) + `; update dead_letters set state = 'discarded'`},
		"another carrier":              {"shipped_orders_have_one_shipment", `update shipments set carrier = 'Another' where order_id = $1`},
		"short of what wasn't ordered": {events, `update order_events set data = data || '{"short": [{"sku": "TEST-TEN", "wanted": 2, "available": 1}]}' where order_id = $1 and name = 'order-placed'`},
		"short of another quantity":    {events, `update order_events set data = data || '{"short": [{"sku": "TEST-ONE", "wanted": 3, "available": 1}]}' where order_id = $1 and name = 'order-placed'`},
		"short of a customer":          {events, `update order_events set data = data || '{"short": [{"sku": "TEST-ONE", "wanted": 2, "available": "Ada"}]}' where order_id = $1 and name = 'order-placed'`},
		"a payment in another event":   {"events_name_the_payment", `update order_events set data = data || '{"payment_id": "pay_another"}' where order_id = $1 and name = 'order-shipped'`},
		"an event of no payment":       {"events_name_the_payment", `update order_events set data = data - 'payment_id' where order_id = $1 and name = 'payment-verified'`},
		"a trace that ends":            {"traces_are_unbroken", traced("order-placed", one)},
		"a trace that changes":         {"traces_are_unbroken", traced("%", one) + traced("inventory-updated", another) + traced("order-shipped", another)},
		"an effect before its cause":   {"every_effect_has_a_cause", `update order_events set name = 'order-placed#inventory-update', cause = 'order-shipped', type = null, data = null, published_at = null where order_id = $1 and name = 'payment-verified'`},
		"an event that isn't one's":    {"every_effect_has_a_cause", `update order_events set cause = 'payment-verified' where order_id = $1 and name = 'order-shipped'`},
		"a payment that nobody asked":  {"rows_have_their_event", `update order_events set cause = null where order_id = $1 and source = 'payment-verification'`},
		"an act of another kind":       {signed, unsigned},
		"an act that nobody signed":    {signed, returned(back)},
		"a return of nobody's line":    {carried, changed("TEST-ONE", "TEST-TEN")},
		"more units than were shipped": {carried, changed(`"quantity": 1`, `"quantity": 3`)},
		"another currency":             {carried, changed("EUR", "USD")},
		"another number":               {carried, changed(`"return_number": 1`, `"return_number": 2`)},
		"a reason of its own":          {carried, changed("not_wanted", "for Ada")},
		"handled, and nothing moved":   {carried, returned(back) + handled},
		"money, and nothing handled":   {carried, returned(back) + caused(`payments set refunded_amount = 1250`)},
		"units, and nothing handled":   {carried, returned(back) + caused(`reservations set returned = 1`)},
		"too little, and no units":     {carried, returned(back) + handled + caused(`payments set refunded_amount = 1249`)},
		"a return of what never went":  {"history_is_a_legal_path", returned(back) + `; update order_events set position = default where order_id = $1 and name = 'order-shipped'`},
		"all given back, no return":    {"money_is_kept_only_for_shipped_orders", `update payments set state = 'refunded' where order_id = $1`},
		"units that came back":         {"stock_shipped_was_reserved", `update stock set returned = 1, on_hand = on_hand + 1 where sku = 'TEST-ONE'`},
		"a name in an operator's word": {secrets, `insert into order_acts (order_id, action, event, reason, actor) values ($1, 'cancel', 'order-shipped', 'Ada Example rang', 'bob')`},
		"a return without a mail":      {"every_change_is_mailed", returned(back)},
		"a parcel that nobody told of": {"rows_have_their_event", `delete from order_events where order_id = $1 and name = 'order-shipped'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			for statement := range strings.SplitSeq(strings.TrimSuffix(test.change, "; "), "; ") {
				change(t, pool, order, strings.ReplaceAll(statement, "'$1'", "'"+order.ID.String()+"'"))
			}
			if names := violated(t, pool); !slices.Contains(names, test.invariant) {
				t.Errorf("%s doesn't notice; violated: %v", test.invariant, names)
			}
		})
	}
}

// TestNothingIsViolated are oddities that are none.
func TestNothingIsViolated(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"a trace along the path": {`update order_events set traceparent = '00-0af7651916cd43dd8448eb211c80319c-' || substr(md5(name), 1, 16) || '-01' where order_id = $1`},
		// Words of an event, of a carrier, and of what a dead letter is made of.
		"a customer called Short": {
			`update order_contacts set name = 'Short', line1 = 'Lines', line2 = 'Test', email = 'EUR' where order_id = $1`,
			`update order_events set data = data || '{"short": [{"sku": "TEST-ONE", "wanted": 2, "available": 1}]}' where order_id = $1 and name = 'order-shipped'`,
		},
		"a customer called Al": {
			`update order_contacts set name = 'Al', line1 = '?', line2 = '-' where order_id = $1`,
			`insert into dead_letters (event_id, event_source, event_type, subject, event, first_at, last_at)
				select id || '/order-placed', 's', 't', id, convert_to('{"total": "- ?"}', 'UTF8'), now(), now() from orders where id = $1`,
		},
		"a contact that was erased": {
			`delete from order_contacts where order_id = $1`,
			`update order_events set data = data || '{"note": "for Ada Example"}' where order_id = $1 and name = 'order-placed'`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			for _, statement := range statements {
				change(t, pool, order, statement)
			}
			if names := violated(t, pool); len(names) > 0 {
				t.Errorf("violated: %v", names)
			}
		})
	}
}

// pairsIn are the pairs of values that an invariant's query lists.
func pairsIn(t *testing.T, name string) []string {
	t.Helper()
	list := all(t)
	i := slices.IndexFunc(list, func(one invariants.Invariant) bool { return one.Name == name })
	if i < 0 {
		t.Fatalf("no invariant is called %s", name)
	}
	pairs := regexp.MustCompile(`\('[^']*', *'[^']*'\)`).FindAllString(list[i].SQL, -1)
	slices.Sort(pairs)
	return pairs
}

// TestPathsAreTheTransitions holds the paths that history_is_a_legal_path takes
// for legal equal to the table of transitions: in SQL they are a copy.
func TestPathsAreTheTransitions(t *testing.T) {
	t.Parallel()
	var want []string
	for _, first := range events.Catalog() {
		if first.Status == events.StatusPlaced {
			want = append(want, fmt.Sprintf("('nothing', '%s')", first.Name))
		}
		for _, next := range events.Catalog() {
			if events.CanMove(first.Status, next.Status) && !first.Repeats && !next.Repeats {
				want = append(want, fmt.Sprintf("('%s', '%s')", first.Name, next.Name))
			}
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, pairsIn(t, "history_is_a_legal_path")); diff != "" {
		t.Errorf("legal steps (-transitions +invariant):\n%s", diff)
	}
}

// TestStatusesAreTheCatalogues holds the event that status_is_the_last_event
// wants of each status equal to the catalogue, which has one for every status.
func TestStatusesAreTheCatalogues(t *testing.T) {
	t.Parallel()
	var want []string
	for _, status := range events.Statuses() {
		for _, kind := range events.Catalog() {
			if kind.Status == status && !kind.Repeats {
				want = append(want, fmt.Sprintf("('%s', '%s')", status, kind.Name))
			}
		}
	}
	slices.Sort(want)
	if len(want) != len(events.Transitions()) {
		t.Errorf("%d events lead to the %d statuses that have transitions", len(want), len(events.Transitions()))
	}
	if diff := cmp.Diff(want, pairsIn(t, "status_is_the_last_event")); diff != "" {
		t.Errorf("last events (-catalogue +invariant):\n%s", diff)
	}
}

// TestReadersAreTheCatalogues holds the lists in every_reader_has_handled and
// every_effect_has_a_cause equal to the catalogue of events.
func TestReadersAreTheCatalogues(t *testing.T) {
	t.Parallel()
	var want []string
	for _, kind := range events.Catalog() {
		for _, reader := range kind.ReadBy {
			want = append(want, fmt.Sprintf("('%s', '%s')", kind.Name, reader))
		}
	}
	slices.Sort(want)
	for _, name := range []string{"every_reader_has_handled", "every_effect_has_a_cause"} {
		if diff := cmp.Diff(want, pairsIn(t, name)); diff != "" {
			t.Errorf("readers (-catalogue +%s):\n%s", name, diff)
		}
	}
}
