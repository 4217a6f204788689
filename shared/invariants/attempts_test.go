package invariants_test

import (
	"slices"
	"testing"

	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// TestAttempts holds which records of attempts at moving money are in order, and
// which aren't.
func TestAttempts(t *testing.T) {
	t.Parallel()
	const (
		settled, ofOrder, onRecord = "attempts_are_settled", "attempts_are_of_their_order", "money_moves_by_attempts_on_record"

		editable = `alter table payment_attempts disable trigger user`
		open     = `update payment_attempts set outcome = null, ended_at = null, provider_id = null where order_id = $1 and step = 'capture'`
		again    = `insert into payment_attempts (order_id, step, key, request_hash, amount, currency, source, cause, started_at)
			select order_id, step, key, request_hash, amount, currency, source, cause, now() from payment_attempts where order_id = $1`
	)
	release := func(outcome string) string { return attempt(`'release/' || $1::uuid`, outcome) }
	for name, test := range map[string]struct {
		statements []string
		violated   []string
	}{
		"all answered": {nil, nil},
		"one left open, another of its key answered": {[]string{again}, nil},
		"one left open, and none answered":           {[]string{editable, open}, []string{settled, onRecord}},
		"one left open, and the order released":      {[]string{editable, `update payment_attempts set outcome = 'authorised' where step = 'capture'`, release(`null`), release(`'none'`)}, []string{onRecord}},
		"a release that nobody knows of":             {[]string{release(`'unknown'`)}, []string{settled}},
		"a release that was refused":                 {[]string{release(`'refused'`)}, nil},
		"two requests with one key":                  {[]string{release(`'none'`), editable, `update payment_attempts set key = 'capture/1' where step = 'release'`, `update payment_attempts set key = 'capture/1' where step = 'capture'`}, []string{ofOrder}},
		"at another amount":                          {[]string{editable, `update payment_attempts set amount = 3299 where step = 'capture'`}, []string{ofOrder}},
		"in another currency":                        {[]string{editable, `update payment_attempts set currency = 'USD' where step = 'capture'`}, []string{ofOrder}},
		"of no order":                                {[]string{editable, `update payment_attempts set order_id = gen_random_uuid() where step = 'capture'`}, []string{ofOrder, onRecord}},
		"because of nothing":                         {[]string{editable, `update payment_attempts set cause = 'order-cancelled' where step = 'capture'`}, []string{ofOrder}},
		"by another function":                        {[]string{editable, `update payment_attempts set source = 'order-cancellation' where step = 'capture'`}, []string{ofOrder}},
		"captured by no attempt":                     {[]string{editable, `delete from payment_attempts where step = 'capture'`}, []string{onRecord}},
		"captured, and answered otherwise":           {[]string{editable, `update payment_attempts set outcome = 'voided' where step = 'capture'`}, []string{onRecord}},
		"of an earlier version":                      {[]string{editable, `delete from payment_attempts`}, nil},
		"begun by an earlier version":                {[]string{editable, `delete from payment_attempts where step = 'authorise'`, `update payment_attempts set started_at = now() + interval '1 s'`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			for _, statement := range test.statements {
				change(t, pool, order, statement)
			}
			names := violated(t, pool)
			for _, one := range []string{settled, ofOrder, onRecord} {
				if got, want := slices.Contains(names, one), slices.Contains(test.violated, one); got != want {
					t.Errorf("%s is violated: %t, want %t", one, got, want)
				}
			}
		})
	}
}
