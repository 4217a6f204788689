package invariants_test

import (
	"slices"
	"testing"

	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// TestEvidenceOfMails holds what of SendGrid's evidence is in order, and what isn't.
func TestEvidenceOfMails(t *testing.T) {
	t.Parallel()
	const (
		sent      = `insert into mail_events select 'e-' || n.change, n.order_id, n.change, 'delivered', n.message_id, '', now(), now() from notifications n where n.order_id = $1`
		other     = `insert into mail_events values ('e2', $1, 'order-shipped', 'processed', 'm2', '', now(), now()), ('e3', $1, 'order-shipped', 'delivered', 'm2', '', now(), now())`
		third     = `insert into mail_events values ('e4', $1, 'order-shipped', 'bounce', 'm3', '5.1.1', now(), now())`
		uncertain = `update notifications set uncertain = 1 where order_id = $1 and change = 'order-shipped'`
		underway  = `update notifications set state = 'sending', message_id = null, sent_at = null where order_id = $1 and change = 'order-shipped'`
		released  = `update notifications set last_error = 'status 429' where order_id = $1 and change = 'order-shipped'`
		evidence  = `update notifications set by_evidence = true where order_id = $1 and change = 'order-shipped'`
		unknown   = `insert into mail_events values ('e5', $1, 'order-cancelled', 'delivered', 'm5', '', now(), now())`

		explained, has = "mail_evidence_is_explained", "mails_by_evidence_have_it"
	)
	for name, test := range map[string]struct {
		statements []string
		violated   string
	}{
		"told of each mail":                        {[]string{sent}, ""},
		"told of another, and of one nobody knows": {[]string{sent, other, uncertain}, ""},
		"told of another, and all were answered":   {[]string{sent, other}, explained},
		"told of two, and nobody knows of one":     {[]string{sent, other, third, uncertain}, explained},
		"told of one that is under way":            {[]string{underway, other}, ""},
		"told of two, and one is under way":        {[]string{underway, other, third}, explained},
		"told of one that surely wasn't taken":     {[]string{underway, released, other}, explained},
		"told of one that failed after another":    {[]string{underway, released, other, uncertain}, ""},
		"told of a mail that is not on record":     {[]string{unknown}, explained},
		"sent by evidence":                         {[]string{sent, evidence}, ""},
		"sent by evidence that there isn't":        {[]string{evidence}, has},
		"sent by the evidence of another":          {[]string{other, uncertain, evidence}, has},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			for _, statement := range test.statements {
				change(t, pool, order, statement)
			}
			names := violated(t, pool)
			for _, one := range []string{explained, has} {
				if got, want := slices.Contains(names, one), one == test.violated; got != want {
					t.Errorf("%s is violated: %t, want %t", one, got, want)
				}
			}
		})
	}
}

// TestProvidersCancel holds when an order may be cancelled because of a webhook.
func TestProvidersCancel(t *testing.T) {
	t.Parallel()
	const (
		cancel = `insert into order_events (order_id, name, source, type, data, occurred_at)
			values ($1, 'order-cancelled', 'provider-webhooks', 'orderflow.order.cancelled.v1', '{"reason": "payment_expired"}', now())`
		wish     = `update order_events set data = '{"reason": "customer_request"}' where order_id = $1 and source = 'provider-webhooks'`
		told     = `insert into payment_events values ('evt_1', $1, 'payment_intent.canceled', 'pi_1', 'canceled', '', 0, '', now(), now())`
		refunded = `insert into payment_events values ('evt_2', $1, 'charge.refunded', 'pi_1', '', '', 0, '', now(), now())`
	)
	for name, test := range map[string]struct {
		statements []string
		violated   bool
	}{
		"told of":                {[]string{cancel, told}, false},
		"not told of":            {[]string{cancel}, true},
		"told of another":        {[]string{cancel, refunded}, true},
		"for another reason":     {[]string{cancel, told, wish}, true},
		"told, and not followed": {[]string{told}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			for _, statement := range test.statements {
				change(t, pool, order, statement)
			}
			if got := slices.Contains(violated(t, pool), "providers_cancel_for_what_they_told"); got != test.violated {
				t.Errorf("violated: %t, want %t", got, test.violated)
			}
		})
	}
}
