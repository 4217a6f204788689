package invariants_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// TestMailsThatWereNotSent holds which of them are in order, and which aren't.
func TestMailsThatWereNotSent(t *testing.T) {
	t.Parallel()
	const (
		refuse    = `update notifications set state = 'refused', message_id = null, sent_at = null, refused_for = %s where order_id = $1 and change = 'order-shipped'`
		supersede = `update notifications set state = 'superseded', message_id = null, sent_at = null where order_id = $1 and change = '%s'`
		cancel    = `update orders set status = 'cancelled', cancel_reason = 'customer_request' where id = $1`
		unsend    = `update notifications set state = 'sending', message_id = null, sent_at = null where order_id = $1 and change = 'order-shipped'`
		anything  = `alter table notifications drop constraint only_confirmations_are_superseded`
		erase     = `delete from order_contacts where order_id = $1`
		refused   = "refused_mails_are_explained"
		overtaken = "superseded_mails_were_overtaken"
	)
	for name, test := range map[string]struct {
		statements []string
		violated   string
	}{
		"refused, the contact erased":            {[]string{fmt.Sprintf(refuse, `'contact_erased'`), erase}, ""},
		"refused as erased, and it is there":     {[]string{fmt.Sprintf(refuse, `'contact_erased'`)}, refused},
		"refused, no address":                    {[]string{fmt.Sprintf(refuse, `'address_invalid'`)}, ""},
		"refused, the address isn't taken":       {[]string{fmt.Sprintf(refuse, `'address_refused'`)}, ""},
		"refused, the mail isn't taken":          {[]string{fmt.Sprintf(refuse, `'mail_refused'`)}, refused},
		"refused for no reason":                  {[]string{fmt.Sprintf(refuse, `null`)}, refused},
		"refused for no reason, contact erased":  {[]string{fmt.Sprintf(refuse, `null`), erase}, refused},
		"superseded, and cancelled":              {[]string{fmt.Sprintf(supersede, "order-placed"), unsend, cancel}, ""},
		"superseded, and told of the shipment":   {[]string{fmt.Sprintf(supersede, "order-placed")}, ""},
		"superseded, the shipment not told yet":  {[]string{fmt.Sprintf(supersede, "order-placed"), unsend}, overtaken},
		"superseded, the shipment never told":    {[]string{fmt.Sprintf(supersede, "order-placed"), fmt.Sprintf(refuse, `'address_refused'`)}, overtaken},
		"another mail superseded":                {[]string{anything, fmt.Sprintf(supersede, "order-shipped")}, overtaken},
		"another mail superseded, and cancelled": {[]string{anything, fmt.Sprintf(supersede, "order-shipped"), cancel}, overtaken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := postgrestest.New(t)
			order := consistent(t, pool)
			for _, statement := range test.statements {
				change(t, pool, order, statement)
			}
			names := violated(t, pool)
			for _, one := range []string{refused, overtaken} {
				if got, want := slices.Contains(names, one), one == test.violated; got != want {
					t.Errorf("%s is violated: %t, want %t", one, got, want)
				}
			}
		})
	}
}

// TestOnlyConfirmationsAreSuperseded holds that no other mail can be.
func TestOnlyConfirmationsAreSuperseded(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	order := consistent(t, pool)
	_, err := pool.Exec(t.Context(), `update notifications set state = 'superseded', message_id = null, sent_at = null
		where order_id = $1 and change = 'order-shipped'`, order.ID)
	if err == nil || !strings.Contains(err.Error(), "only_confirmations_are_superseded") {
		t.Errorf("superseding another mail: %v", err)
	}
}
