package main

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/invariants"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// The checks of what is outside.
const (
	recordCheck  = "provider_agrees_on_every_payment"
	ledgerCheck  = "provider_ledger_is_what_we_say"
	mailCheck    = "mailbox_has_every_mail"
	fateCheck    = "mailbox_told_of_its_mails"
	labelCheck   = "labels_are_in_s3"
	movesCheck   = "provider_moves_each_total_once"
	journalCheck = "provider_ledger_is_our_journal"
)

var stranger = stagetest.Order{ID: uuid.MustParse("0193e7a2-5c40-7b1d-9f3e-2a6c1d8e4f70")}

// wantClean expects that nothing is wrong, and that everything was looked at.
func wantClean(t *testing.T, s *shop, args ...string) string {
	t.Helper()
	code, out, trouble := s.audit(args...)
	if failed := failedChecks(out); code != exitClean || len(failed) > 0 || trouble != "" {
		t.Fatalf("audit %v ends with %d:\n%s%s", args, code, out, trouble)
	}
	return out
}

// wantFailed expects that exactly these checks fail, one of them with the line.
func wantFailed(t *testing.T, s *shop, line string, checks []string, args ...string) {
	t.Helper()
	code, out, trouble := s.audit(args...)
	if code != exitWrong || trouble != "" {
		t.Errorf("audit %v ends with %d, want %d: %s", args, code, exitWrong, trouble)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(checks)), failedChecks(out)); diff != "" {
		t.Errorf("failed checks (-want +got):\n%s", diff)
	}
	line = strings.NewReplacer("SHIPPED", s.shipped.ID.String(), "CANCELLED", s.cancelled.ID.String(),
		"NEVERASKED", s.neverAsked.ID.String(), "STRANGER", stranger.ID.String()).Replace(line)
	if !strings.Contains(out, "\n        "+line) {
		t.Errorf("the report lacks %q", line)
	}
	for printed := range strings.Lines(out) {
		if t.Failed() || !strings.HasPrefix(printed, "ok") {
			t.Log(strings.TrimSpace(printed))
		}
	}
}

func failedChecks(out string) []string {
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^FAIL +(\S+)`).FindAllStringSubmatch(out, -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return names
}

func checksIn(out string) int {
	return len(regexp.MustCompile(`(?m)^(ok|FAIL)  `).FindAllString(out, -1))
}

func TestTrueWorldIsClean(t *testing.T) {
	t.Parallel()
	list, err := invariants.All()
	if err != nil {
		t.Fatal(err)
	}
	s := newShop(t)
	out := wantClean(t, s)
	if got, want := checksIn(out), len(list)+len(comparisons()); got != want {
		t.Errorf("%d checks were run, want %d:\n%s", got, want, out)
	}
	for _, want := range []string{"(3 payments, 0 orders on their way)", "(6 movements)", "(6 mails, 0 of them", "(2 labels)", "4 orders: 2 shipped, 2 cancelled, 0 on their way. 0 open dead letters.", " 0 violations"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	at := slices.IndexFunc(list, func(one invariants.Invariant) bool { return one.AtRest })
	if got, want := checksIn(wantClean(t, s, "--moving")), at+len(comparisons()); got != want {
		t.Errorf("%d checks were run of a system at work, want %d", got, want)
	}
}

// TestEachLieIsFound breaks one thing at a time: a proof that can't fail is none.
func TestEachLieIsFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tell   func(s *shop)
		checks []string
		line   string
	}{
		"charged twice, by another payment": {
			func(s *shop) {
				s.forgeMovements(s.shipped, moved{"pay_again", payment.KindAuthorise, eur(3300)}, moved{"pay_again", payment.KindCapture, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 66.00 (authorised EUR 66.00, captured EUR 66.00, voided EUR 0.00, refunded EUR 0.00), in 2 payments\n",
		},
		"charged twice, by the same payment": {
			func(s *shop) {
				id := s.paymentOf(s.shipped)
				s.forgeMovements(s.shipped, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 66.00 (authorised EUR 66.00, captured EUR 66.00, voided EUR 0.00, refunded EUR 0.00)\n",
		},
		"captured twice, held once": {
			func(s *shop) {
				s.forgeMovements(s.shipped, moved{s.paymentOf(s.shipped), payment.KindCapture, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR -33.00 and keeps EUR 66.00 ",
		},
		"held again": {
			func(s *shop) { s.forgeMovements(s.shipped, moved{"pay_again", payment.KindAuthorise, eur(3300)}) },
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 33.00 and keeps EUR 33.00 ",
		},
		"held again in another currency": {
			func(s *shop) {
				s.forgeMovements(s.shipped, moved{s.paymentOf(s.shipped), payment.KindAuthorise, events.Money{Amount: 500, Currency: "USD"}})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 33.00 (authorised EUR 33.00, captured EUR 33.00, voided EUR 0.00, refunded EUR 0.00), and holds USD 5.00 and keeps USD 0.00 (",
		},
		"the total in two payments": {
			func(s *shop) {
				id := s.paymentOf(s.shipped)
				s.forgeMovements(s.shipped, moved{id, payment.KindRefund, eur(1000)},
					moved{"pay_again", payment.KindAuthorise, eur(1000)}, moved{"pay_again", payment.KindCapture, eur(1000)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 33.00 (authorised EUR 43.00, captured EUR 43.00, voided EUR 0.00, refunded EUR 10.00), in 2 payments",
		},
		"authorised, captured and refunded once more": {
			func(s *shop) {
				id := s.paymentOf(s.shipped)
				s.forgeMovements(s.shipped, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)}, moved{id, payment.KindRefund, eur(3300)})
			},
			[]string{movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, authorise EUR 33.00, capture EUR 33.00, refund EUR 33.00: no course that money may take\n",
		},
		"authorised, captured and refunded before, by another payment": {
			func(s *shop) {
				s.forgeMovements(s.neverAsked, moved{"pay_a", payment.KindAuthorise, eur(3300)}, moved{"pay_a", payment.KindCapture, eur(3300)}, moved{"pay_b", payment.KindRefund, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order NEVERASKED: our database says no payment of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, refund EUR 33.00: in more than one payment\n",
		},
		"captured three times and refunded twice": {
			func(s *shop) {
				id := s.paymentOf(s.shipped)
				for range 2 {
					s.forgeMovements(s.shipped, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)}, moved{id, payment.KindRefund, eur(3300)})
				}
			},
			[]string{movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, authorise",
		},
		"ten times the total captured and refunded": {
			func(s *shop) {
				order := s.cancelReserved()
				s.refund(order)
				s.finish()
				s.forget(order)
				s.forgeMovements(order, moved{"p", payment.KindAuthorise, eur(33000)}, moved{"p", payment.KindCapture, eur(33000)}, moved{"p", payment.KindRefund, eur(33000)})
				s.neverAsked = order
			},
			[]string{recordCheck, movesCheck, journalCheck},
			"order NEVERASKED: our database says refunded EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 330.00, capture EUR 330.00, refund EUR 330.00: not its total\n",
		},
		"captured in another currency, and refunded": {
			func(s *shop) {
				order := s.cancelReserved()
				s.refund(order)
				s.finish()
				usd := events.Money{Amount: 3300, Currency: "USD"}
				s.forget(order)
				s.forgeMovements(order, moved{"p", payment.KindAuthorise, usd}, moved{"p", payment.KindCapture, usd}, moved{"p", payment.KindRefund, usd})
				s.neverAsked = order
			},
			[]string{recordCheck, movesCheck, journalCheck},
			"order NEVERASKED: our database says refunded EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise USD 33.00, capture USD 33.00, refund USD 33.00: not its total\n",
		},
		"never asked, but captured and refunded": {
			func(s *shop) {
				s.authorise(s.neverAsked.ID.String(), 3300)
				s.refund(s.neverAsked)
			},
			[]string{recordCheck, movesCheck, journalCheck},
			"order NEVERASKED: our database says no payment of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, refund EUR 33.00: captured, and its units were never reserved\n",
		},
		"never asked, but held and given back": {
			func(s *shop) {
				s.authorise(s.neverAsked.ID.String(), 3300)
				_, err := s.provider.Release(s.Context(), s.neverAsked.ID.String())
				s.must(err)
			},
			[]string{recordCheck, movesCheck, journalCheck},
			"order NEVERASKED: our database says no payment of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, void EUR 33.00: not the course of what our database says\n",
		},
		"captured and refunded for an order that was cancelled before it was reserved": {
			func(s *shop) {
				id := s.paymentOf(s.cancelled)
				s.exec(`update payments set state = 'refunded' where order_id = $1`, s.cancelled.ID)
				s.forget(s.cancelled)
				s.forgeMovements(s.cancelled, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)}, moved{id, payment.KindRefund, eur(3300)})
			},
			[]string{recordCheck, movesCheck, "corrections_are_explained", "transfers_follow_the_orders_story"},
			"order CANCELLED: our database says refunded EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, refund EUR 33.00: captured, and its units were never reserved\n",
		},
		"captured and refunded for an order that was declined": {
			func(s *shop) {
				order := s.cancelReserved()
				s.refund(order)
				s.exec(`update orders set cancel_reason = 'payment_declined' where id = $1`, order.ID)
				s.exec(`update order_events set data = data || '{"reason": "payment_declined"}' where order_id = $1 and name = 'order-cancelled'`, order.ID)
				s.finish()
				s.exec(`update analytics_minutes set dimension = 'payment_declined', value = 1 where metric = 'orders_cancelled' and value = 3`)
				s.exec(`insert into analytics_minutes select minute, metric, 'customer_request', 0, 2 from analytics_minutes where metric = 'orders_cancelled' and value = 1`)
				s.neverAsked = order
			},
			[]string{movesCheck},
			"order NEVERASKED: our database says refunded EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, refund EUR 33.00: captured, and it was not its customer who cancelled it\n",
		},
		"captured after it was cancelled, and not refunded": {
			func(s *shop) {
				order := s.cancelReserved()
				_, err := s.provider.Capture(s.Context(), order.ID.String())
				s.must(err)
				s.exec(`update payments set state = 'captured' where order_id = $1`, order.ID)
				s.finish()
				s.neverAsked = order
			},
			[]string{"money_is_kept_only_for_shipped_orders", movesCheck},
			"order NEVERASKED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00: captured, cancelled, and not refunded\n",
		},
		"captured behind the release": {
			func(s *shop) {
				id := s.paymentOf(s.cancelled)
				s.forgeMovements(s.cancelled, moved{id, payment.KindCapture, eur(3300)}, moved{id, payment.KindRefund, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order CANCELLED: our database says voided EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, void EUR 33.00, capture EUR 33.00, refund EUR 33.00: no course that money may take\n",
		},
		"captured and refunded for nobody": {
			func(s *shop) {
				s.forgeMovements(stranger, moved{"p", payment.KindAuthorise, eur(1250)}, moved{"p", payment.KindCapture, eur(1250)}, moved{"p", payment.KindRefund, eur(1250)})
			},
			[]string{movesCheck},
			"order STRANGER: our database knows no such order, the provider's ledger says authorise EUR 12.50, capture EUR 12.50, refund EUR 12.50\n",
		},
		"another payment on record": {
			func(s *shop) {
				s.exec(`update payments set provider_id = 'pay_another' where order_id = $1`, s.shipped.ID)
				s.nameThePayment(s.shipped, "pay_another")
			},
			[]string{recordCheck, movesCheck},
			"order SHIPPED: our database says payment pay_another, the provider's record says payment pay_",
		},
		"refunded in part": {
			func(s *shop) {
				s.forgeMovements(s.shipped, moved{s.paymentOf(s.shipped), payment.KindRefund, eur(300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 30.00 ",
		},
		"a cancelled order's money kept": {
			func(s *shop) {
				id := s.paymentOf(s.cancelled)
				s.forgeMovements(s.cancelled, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order CANCELLED: our database says voided EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 33.00 ",
		},
		"a cancelled order's money held in another currency": {
			func(s *shop) {
				s.forgeMovements(s.cancelled, moved{"pay_again", payment.KindAuthorise, events.Money{Amount: 500, Currency: "USD"}})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order CANCELLED: our database says voided EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 0.00 (authorised EUR 33.00, captured EUR 0.00, voided EUR 33.00, refunded EUR 0.00), and holds USD 5.00 and keeps USD 0.00 (",
		},
		"refunded behind our back": {
			func(s *shop) {
				_, err := s.provider.Release(s.Context(), s.shipped.ID.String())
				s.must(err)
			},
			[]string{recordCheck, ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00, the provider's record says refunded EUR 33.00\n",
		},
		"shipped without its money": {
			func(s *shop) { s.shipped = s.ship(3300, false); s.finish() },
			[]string{recordCheck, ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 33.00 and keeps EUR 0.00 ",
		},
		"a cent too much": {
			func(s *shop) { s.shipped = s.ship(3301, true); s.finish() },
			[]string{recordCheck, ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00, the provider's record says captured EUR 33.01\n",
		},
		"held, and we don't know of it": {
			func(s *shop) { s.authorise(s.neverAsked.ID.String(), 3300) },
			[]string{recordCheck, ledgerCheck, movesCheck, journalCheck},
			"order NEVERASKED: our database says no payment, the provider's record says authorised EUR 33.00\n",
		},
		"held for nobody": {
			func(s *shop) { s.authorise(stranger.ID.String(), 1250) },
			[]string{recordCheck, ledgerCheck},
			"order STRANGER: our database knows no such order, the provider's ledger holds EUR 12.50 and keeps EUR 0.00 (",
		},
		"kept for nobody, off the record": {
			func(s *shop) {
				s.forgeMovements(stranger, moved{"p", payment.KindAuthorise, eur(1250)}, moved{"p", payment.KindCapture, eur(1250)})
			},
			[]string{ledgerCheck, movesCheck},
			"order STRANGER: our database knows no such order, the provider's ledger holds EUR 0.00 and keeps EUR 12.50 (",
		},
		"a payment missing at the provider": {
			func(s *shop) { s.forget(s.shipped) },
			[]string{recordCheck, ledgerCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00, the provider's record says no payment\n",
		},
		"a payment that never was": {
			func(s *shop) {
				s.exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'p', 'voided', 3300, 'EUR')`, s.neverAsked.ID)
			},
			[]string{recordCheck, journalCheck},
			"order NEVERASKED: our database says voided EUR 33.00, the provider's record says no payment\n",
		},
		"another amount on record": {
			func(s *shop) { s.exec(`update payments set amount = 3299 where order_id = $1`, s.shipped.ID) },
			[]string{"payments_are_the_orders_total", recordCheck, "corrections_are_explained", journalCheck},
			"order SHIPPED: our database says captured EUR 32.99, the provider's record says captured EUR 33.00\n",
		},
		"another state on record": {
			func(s *shop) { s.exec(`update payments set state = 'voided' where order_id = $1`, s.shipped.ID) },
			[]string{"money_is_kept_only_for_shipped_orders", recordCheck, ledgerCheck, movesCheck, "corrections_are_explained", journalCheck},
			"order SHIPPED: our database says voided EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 33.00 ",
		},
		"mails missing": {
			func(s *shop) { s.request("DELETE", "/api/messages", "") },
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says sent, the mailbox doesn't have it\n",
		},
		"another mail than the one on record": {
			func(s *shop) {
				s.exec(`update notifications set message_id = 'another' where order_id = $1 and change = 'order-placed'`, s.shipped.ID)
			},
			[]string{mailCheck},
			"SHIPPED/order-placed: our database says sent, the mailbox doesn't have it\n",
		},
		"evidence of a mail that there isn't": {
			func(s *shop) {
				s.exec(`update notifications set uncertain = 1 where order_id = $1`, s.shipped.ID)
				s.exec(`insert into mail_events values ('e1', $1, 'order-shipped', 'bounce', 'another', '', now(), now())`, s.shipped.ID)
			},
			[]string{fateCheck},
			"SHIPPED/order-shipped: our database has evidence of a mail that is bounce, the mailbox doesn't have it\n",
		},
		"evidence of another order's mail": {
			func(s *shop) {
				s.exec(`insert into mail_events select 'e1', order_id, 'order-placed', 'delivered', message_id, '', now(), now()
					from notifications where order_id = $1 and change = 'order-shipped'`, s.shipped.ID)
			},
			[]string{"mail_evidence_is_explained", fateCheck},
			"SHIPPED/order-placed: our database has evidence of a mail that is delivered, the mailbox doesn't have it\n",
		},
		"a mail sent by evidence that there isn't": {
			func(s *shop) {
				s.exec(`update notifications set by_evidence = true where order_id = $1 and change = 'order-shipped'`, s.shipped.ID)
			},
			[]string{"mails_by_evidence_have_it"},
			"",
		},
		"a mail too many": {
			func(s *shop) { s.post(s.cancelled, "order-shipped") },
			[]string{mailCheck},
			"CANCELLED/order-shipped: our database says no mail, 1 arrived\n",
		},
		"a mail about no order of ours": {
			func(s *shop) { s.post(stranger, "order-shipped") },
			[]string{mailCheck},
			"STRANGER/order-shipped: our database says no mail, 1 arrived\n",
		},
		"a mail twice, and nothing crashed": {
			func(s *shop) { s.post(s.shipped, "order-shipped") },
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says sent, 0 attempts of unknown outcome; 2 arrived\n",
		},
		"a mail twice, though the first attempt was answered": {
			func(s *shop) {
				s.exec(`update notifications set attempts = 2 where order_id = $1`, s.shipped.ID)
				s.post(s.shipped, "order-shipped")
			},
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says sent, 0 attempts of unknown outcome; 2 arrived\n",
		},
		"a mail once too often": {
			func(s *shop) {
				s.exec(`update notifications set attempts = 5, uncertain = 1 where order_id = $1`, s.shipped.ID)
				s.post(s.shipped, "order-shipped")
				s.post(s.shipped, "order-shipped")
			},
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says sent, 1 attempts of unknown outcome; 3 arrived\n",
		},
		"a mail to somebody else": {
			func(s *shop) {
				s.exec(`update notifications set uncertain = 1 where order_id = $1`, s.shipped.ID)
				s.postTo(s.shipped, "order-shipped", `"to": [{"email": "eve@example.com"}]`)
			},
			[]string{mailCheck},
			"SHIPPED/order-shipped: it went to somebody else than the order's contact\n",
		},
		"a mail to somebody else as well": {
			func(s *shop) {
				s.exec(`update notifications set uncertain = 1 where order_id = $1`, s.shipped.ID)
				s.postTo(s.shipped, "order-shipped", `"to": [{"email": "ada@example.com"}], "bcc": [{"email": "eve@example.com"}]`)
			},
			[]string{mailCheck},
			"SHIPPED/order-shipped: it went to somebody else than the order's contact\n",
		},
		"mails to who the contact isn't": {
			func(s *shop) {
				s.exec(`update order_contacts set email = 'eve@example.com' where order_id = $1`, s.shipped.ID)
			},
			[]string{mailCheck},
			"SHIPPED/order-placed: it went to somebody else than the order's contact\n",
		},
		"a refused mail that arrived": {
			func(s *shop) {
				s.unsent(s.shipped, "order-shipped", `state = 'refused', refused_for = 'address_refused'`)
			},
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says refused, 0 attempts of unknown outcome; 1 arrived\n",
		},
		"a superseded mail that arrived": {
			func(s *shop) { s.unsent(s.shipped, "order-placed", `state = 'superseded'`) },
			[]string{mailCheck},
			"SHIPPED/order-placed: our database says superseded, 0 attempts of unknown outcome; 1 arrived\n",
		},
		"a mail given back that arrived": {
			func(s *shop) {
				s.unsent(s.shipped, "order-shipped", `state = 'sending', last_error = 'status 429'`)
			},
			[]string{"every_change_is_mailed", mailCheck},
			"SHIPPED/order-shipped: our database says sending, 0 attempts of unknown outcome; 1 arrived\n",
		},
		"a mail that is never sent": {
			func(s *shop) { s.unsent(s.shipped, "order-shipped", `state = 'sending'`) },
			[]string{"every_change_is_mailed"},
			"order_id=SHIPPED name=order-shipped state=sending attempts=1 ",
		},
		"a mail refused for no fault of its recipient": {
			func(s *shop) { s.untold("mail_refused") },
			[]string{"refused_mails_are_explained"},
			"order_id=",
		},
		"a mail refused as its contact was erased, which wasn't": {
			func(s *shop) { s.untold("contact_erased") },
			[]string{"refused_mails_are_explained"},
			"order_id=",
		},
		"a mail refused as there was no address, and there is": {
			func(s *shop) {
				s.unsent(s.shipped, "order-shipped", `state = 'refused', refused_for = 'address_invalid', uncertain = 1`)
			},
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says no address to write to, and there is one\n",
		},
		"a confirmation superseded by nothing": {
			func(s *shop) {
				s.exec(`delete from notifications where order_id = $1`, s.shipped.ID)
				s.exec(`insert into notifications (order_id, change, state, claimed_at, uncertain) values ($1, 'order-placed', 'superseded', now(), 1)`, s.shipped.ID)
			},
			[]string{"superseded_mails_were_overtaken", "every_change_is_mailed", mailCheck},
			"order_id=SHIPPED change=order-placed status=shipped\n",
		},
		"all mails refused": {
			func(s *shop) {
				s.request("DELETE", "/api/messages", "")
				s.exec(`update notifications set state = 'refused', refused_for = 'address_refused', message_id = null, sent_at = null`)
			},
			[]string{mailCheck},
			"no mail was sent: 0 superseded; 6 refused: 0 contact erased, 0 no address, 6 address refused by SendGrid, 0 unexplained\n",
		},
		"a label missing": {
			func(s *shop) { s.deleteLabel(s.shipped) },
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says a label, S3 doesn't have it\n",
		},
		"a label with other bytes": {
			func(s *shop) { s.putLabel(s.shipped, []byte("the label of another")) },
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says a label with SHA-256 ",
		},
		"a label damaged on S3's disk": {
			func(s *shop) { s.damageLabel(s.shipped) },
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says a label",
		},
		"the label of another order": {
			func(s *shop) {
				s.stick(s.shipped, labelOf(s.other.Number, "T"+s.shipped.ID.String(), "2 ×", stagetest.SKUOne, "1 ×", stagetest.SKUTwo))
			},
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says order ",
		},
		"the tracking number of another parcel": {
			func(s *shop) {
				s.stick(s.shipped, labelOf(s.shipped.Number, "T"+s.other.ID.String(), "2 ×", stagetest.SKUOne, "1 ×", stagetest.SKUTwo))
			},
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says tracking number TSHIPPED, the label doesn't\n",
		},
		"too many packed": {
			func(s *shop) {
				s.stick(s.shipped, labelOf(s.shipped.Number, "T"+s.shipped.ID.String(), "3 ×", "First", stagetest.SKUOne, "1 ×", "Second", stagetest.SKUTwo))
			},
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says 2 × TEST-ONE, 1 × TEST-TWO, the label says 3 × TEST-ONE, 1 × TEST-TWO\n",
		},
		"an article not packed": {
			func(s *shop) {
				s.stick(s.shipped, labelOf(s.shipped.Number, "T"+s.shipped.ID.String(), "2 ×", "First", stagetest.SKUOne))
			},
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says 2 × TEST-ONE, 1 × TEST-TWO, the label says 2 × TEST-ONE\n",
		},
		"a label that nobody can read": {
			func(s *shop) { s.stick(s.shipped, []byte("%PDF-1.3 and no more")) },
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says a label, S3 has something that can't be read\n",
		},
		"a cancelled order's label": {
			func(s *shop) {
				order := s.cancelReserved()
				s.refund(order)
				s.finish()
				s.putLabel(order, []byte("stored by who woke up late and died"))
				s.ageLabel(order)
				s.cancelled = order
			},
			[]string{labelCheck},
			"labels/CANCELLED.pdf: our database says cancelled and no label, S3 has one\n",
		},
		"a label of an order that was never to be shipped": {
			func(s *shop) { s.putLabel(s.neverAsked, []byte("stored just now")) },
			[]string{labelCheck},
			"labels/NEVERASKED.pdf: our database says cancelled and no label, S3 has one\n",
		},
		"a label of nobody's": {
			func(s *shop) { s.putLabel(stranger, []byte("stored for an order that is gone")) },
			[]string{labelCheck},
			"labels/STRANGER.pdf: our database knows no such order, S3 has a label\n",
		},
		"journalled, and never moved": {
			func(s *shop) {
				s.exec(`insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause) values
					($1, 'capture', 'held', 'captured', 3300, 'EUR', 'inventory-updated'), ($1, 'refund', 'captured', 'customer', 3300, 'EUR', 'order-cancelled')`, s.shipped.ID)
			},
			[]string{"payments_are_the_fold_of_their_journal", "transfers_follow_the_orders_story", journalCheck},
			"order SHIPPED: our journal says authorise EUR 33.00, capture EUR 33.00, capture EUR 33.00, refund EUR 33.00, the provider's ledger authorise EUR 33.00, capture EUR 33.00\n",
		},
		"changed behind the journal's back": {
			func(s *shop) {
				s.exec(`begin; set local session_replication_role = replica; update payments set state = 'voided' where state = 'captured'; commit`)
			},
			[]string{"payments_are_the_fold_of_their_journal", "money_is_kept_only_for_shipped_orders", recordCheck, ledgerCheck, movesCheck},
			"order_id=SHIPPED state=voided amount=3300 refunded_amount=0 currency=EUR held_by_journal=0 kept_by_journal=3300 refunded_by_journal=0\n",
		},
		"stock stolen": {
			func(s *shop) {
				s.exec(`alter table stock drop constraint nothing_vanishes`)
				s.exec(`update stock set on_hand = on_hand - 1 where sku = 'TEST-ONE'`)
			},
			[]string{"stock_is_conserved", "stock_is_the_fold_of_its_journal"},
			"sku=TEST-ONE opening=100 received=0 adjusted=0 returned=0 on_hand=95 shipped=4\n",
		},
		"stock held for nobody": {
			func(s *shop) { s.exec(`update stock set reserved = 1 where sku = 'TEST-ONE'`) },
			[]string{"stock_reserved_is_held", "stock_is_the_fold_of_its_journal"},
			"sku=TEST-ONE reserved=1 held=0\n",
		},
		"a status flipped": {
			func(s *shop) {
				s.exec(`update orders set status = 'inventory_updated', settled_at = null where id = $1`, s.shipped.ID)
			},
			[]string{
				"status_is_the_last_event", "money_is_kept_only_for_shipped_orders", "reservations_follow_the_order",
				"shipped_orders_have_one_shipment", "every_order_is_final",
			},
			"id=SHIPPED status=inventory_updated name=order-shipped\n",
		},
		"an order left lying": {
			func(s *shop) { stagetest.Place(s, s.pool, events.StatusPlaced); s.finish() },
			[]string{"every_order_is_final"},
			"id=",
		},
		"an event lost": {
			func(s *shop) {
				s.exec(`update order_events set published_at = null where order_id = $1 and name = 'order-shipped'`, s.shipped.ID)
			},
			[]string{"every_event_is_published"},
			"order_id=SHIPPED name=order-shipped ",
		},
		"a figure wrong": {
			func(s *shop) { s.exec(`update analytics_minutes set value = value + 1 where metric = 'revenue'`) },
			[]string{"analytics_are_the_fold_of_events"},
			"minute=",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			wantClean(t, s)
			test.tell(s)
			wantFailed(t, s, test.line, test.checks)
		})
	}
}

// TestHarmlessOddities are what a crash leaves, or a late message, with nobody
// the worse for it.
func TestHarmlessOddities(t *testing.T) {
	t.Parallel()
	tests := map[string]func(s *shop){
		"a mail twice around a crash": func(s *shop) {
			s.exec(`update notifications set attempts = 2, uncertain = 1 where order_id = $1`, s.shipped.ID)
			s.post(s.shipped, "order-shipped")
		},
		"a confirmation superseded, and an attempt at it that arrived": func(s *shop) {
			s.unsent(s.shipped, "order-placed", `state = 'superseded', uncertain = 1`)
		},
		"a mail to a contact that is erased by now": func(s *shop) {
			s.exec(`delete from order_contacts where order_id = $1`, s.shipped.ID)
		},
		"a contact erased before there was a mail": func(s *shop) {
			order := s.untold("contact_erased")
			s.exec(`delete from order_contacts where order_id = $1`, order.ID)
		},
		"an address that is none": func(s *shop) {
			order := s.untold("address_invalid")
			s.exec(`update order_contacts set email = 'ada@' where order_id = $1`, order.ID)
		},
		"an address that SendGrid doesn't take": func(s *shop) { s.untold("address_refused") },
		"a refusal for nobody": func(s *shop) {
			_, err := s.provider.Authorise(s.Context(), payment.AuthoriseRequest{OrderID: "nobody", Amount: eur(100), Method: "pm_card_visa_chargeDeclined"})
			s.must(err)
		},
		"held for nobody, and let go": func(s *shop) {
			s.authorise("nobody", 100)
			_, err := s.provider.Release(s.Context(), "nobody")
			s.must(err)
		},
		"an authorisation behind the release": func(s *shop) {
			_, err := s.provider.Release(s.Context(), s.neverAsked.ID.String())
			s.must(err)
			if late := s.authorise(s.neverAsked.ID.String(), 3300); late.State != payment.StateDeclined {
				s.Errorf("the authorisation is %s", late.State)
			}
		},
		"a label that a duplicate of the delivery is about to take back": func(s *shop) {
			order := s.cancelReserved()
			s.refund(order)
			s.putLabel(order, []byte("stored by who woke up late"))
			s.finish()
		},
		"a capture that lost the race with the cancellation, and was refunded": func(s *shop) {
			s.refund(s.cancelReserved())
			s.finish()
		},
	}
	for name, happen := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			happen(s)
			wantClean(t, s)
		})
	}
}

// TestFatesAreCounted has SendGrid tell of some mails, and of one twice.
func TestFatesAreCounted(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.exec(`insert into mail_events
		select 'p-' || message_id, order_id, change, 'processed', message_id, '', now(), now() from notifications where state = 'sent' and order_id = $1
		union all
		select 'd-' || message_id, order_id, change, case change when 'order-placed' then 'bounce' else 'delivered' end, message_id, '', now(), now()
		from notifications where state = 'sent' and order_id = $1`, s.shipped.ID)
	if out, want := wantClean(t, s), "(1 delivered, 1 bounced, 0 blocked, 0 dropped, 0 called spam, 0 on their way; 4 not told of)"; !strings.Contains(out, want) {
		t.Errorf("the report lacks %q:\n%s", want, out)
	}
}

// TestRefusalsAreCounted has a mail for each reason that lies with its recipient.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.exec(`delete from order_contacts where order_id = $1`, s.untold("contact_erased").ID)
	s.exec(`update order_contacts set email = 'ada@' where order_id = $1`, s.untold("address_invalid").ID)
	s.untold("address_refused")
	s.untold("address_refused")
	want := "(6 mails, 0 of them sent again after a crash or a lost answer; 0 superseded; 4 refused: 1 contact erased, 1 no address, 2 address refused by SendGrid, 0 unexplained)"
	if out := wantClean(t, s); !strings.Contains(out, want) {
		t.Errorf("the report lacks %q:\n%s", want, out)
	}
}

// TestNoAddressIsPrinted holds that a report about mails tells nobody's address.
func TestNoAddressIsPrinted(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.exec(`update order_contacts set email = 'eve@example.com' where order_id = $1`, s.shipped.ID)
	s.untold("address_invalid")
	if code, out, trouble := s.audit(); code != exitWrong || strings.Contains(out+trouble, "@") {
		t.Errorf("audit ends with %d:\n%s%s", code, out, trouble)
	}
}

// TestSystemAtWork has an order whose money is held, and whose function hasn't
// come to write that down.
func TestSystemAtWork(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	order := stagetest.Place(t, s.pool, events.StatusPlaced)
	s.authorise(order.ID.String(), 3300)
	if out := wantClean(t, s, "--moving"); !strings.Contains(out, "(4 payments, 1 orders on their way)") {
		t.Errorf("nothing is on its way:\n%s", out)
	}
	s.finish()
	wantFailed(t, s, "order "+order.ID.String()+": our database says no payment, the provider's record says authorised EUR 33.00\n",
		[]string{"every_order_is_final", recordCheck, ledgerCheck, movesCheck, journalCheck})
}

// TestLabelOfAnOrderOnItsWay has labels of orders that shipment-preparation isn't
// done with: of one that may still be shipped, and one that was cancelled
// meanwhile, however long ago.
func TestLabelOfAnOrderOnItsWay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, order := range []stagetest.Order{s.cancelReserved(), s.cancelReserved()} {
		s.putLabel(order, []byte("stored, and then killed"))
		s.ageLabel(order)
		s.cancelled = order
	}
	live := stagetest.Place(t, s.pool, events.StatusInventoryUpdated)
	held := s.authorise(live.ID.String(), 3300)
	s.exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, $2, 'authorised', 3300, 'EUR')`, live.ID, held.ID)
	s.nameThePayment(live, held.ID)
	s.exec(`insert into reservations select order_id, sku, quantity, 'held' from order_lines where order_id = $1`, live.ID)
	s.exec(`update stock s set reserved = reserved + r.quantity from reservations r where r.sku = s.sku and r.order_id = $1`, live.ID)
	s.putLabel(live, []byte("stored, and its money not captured yet"))
	s.ageLabel(live)
	wantClean(t, s, "--moving")
	s.exec(`insert into order_events (order_id, name, source, cause, occurred_at)
		values ($1, 'inventory-updated#shipment-preparation', 'shipment-preparation', 'inventory-updated', now())`, s.cancelled.ID)
	wantFailed(t, s, "labels/CANCELLED.pdf: our database says cancelled and no label, S3 has one\n", []string{labelCheck}, "--moving")
}

// TestLongSKU is of a label on which a SKU is cut, and an article's name looks
// like a quantity.
func TestLongSKU(t *testing.T) {
	t.Parallel()
	l := label{number: "OF-1", tracking: "T1", lines: []string{"2 × TEST-WITH-A-VERY-LONG-NAME", "10 × B"}}
	document := func(sku string) []byte {
		return labelOf("OF-1", "T1", "2 ×", "First", sku, "10 ×", "3 × of a kind", "B")
	}
	if wrong := l.wrongText(document("TEST-WITH-A-VERY…")); wrong != "" {
		t.Errorf("a label with a SKU that is cut: %s", wrong)
	}
	if l.wrongText(document("TEST-WITH-ANOTHER…")) == "" {
		t.Error("a label with another SKU that is cut passes")
	}
}

// TestMailUnderWay has mails that arrived, and whose function hasn't come to write
// that down.
func TestMailUnderWay(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.unsent(s.shipped, "order-placed", `state = 'sending'`)
	s.unsent(s.shipped, "order-shipped", `state = 'sending', attempts = 2, uncertain = 1`)
	s.post(s.shipped, "order-shipped")
	wantClean(t, s, "--moving")
	s.post(s.shipped, "order-shipped")
	wantFailed(t, s, "SHIPPED/order-shipped: our database says sending, 1 attempts of unknown outcome; 3 arrived\n", []string{mailCheck}, "--moving")
}

// TestLiesOfASystemAtWork are found though orders are on their way.
func TestLiesOfASystemAtWork(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tell   func(s *shop)
		checks []string
		line   string
	}{
		"charged twice": {
			func(s *shop) {
				s.forgeMovements(s.shipped, moved{"p", payment.KindAuthorise, eur(3300)}, moved{"p", payment.KindCapture, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck, journalCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger holds EUR 0.00 and keeps EUR 66.00 ",
		},
		"charged twice, and on its way": {
			func(s *shop) {
				s.exec(`update orders set settled_at = null where id = $1`, s.shipped.ID)
				id := s.paymentOf(s.shipped)
				s.forgeMovements(s.shipped, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)})
			},
			[]string{ledgerCheck, movesCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00 on its way, the provider's ledger holds EUR 0.00 and keeps EUR 66.00 ",
		},
		"held twice, in halves, and on its way": {
			func(s *shop) {
				s.exec(`update orders set settled_at = null where id = $1`, s.neverAsked.ID)
				s.forgeMovements(s.neverAsked, moved{"p", payment.KindAuthorise, eur(1650)}, moved{"q", payment.KindAuthorise, eur(1650)})
			},
			[]string{ledgerCheck, movesCheck},
			"order NEVERASKED: our database says no payment of an order of EUR 33.00 on its way, the provider's ledger holds EUR 33.00 and keeps EUR 0.00 (authorised EUR 33.00, captured EUR 0.00, voided EUR 0.00, refunded EUR 0.00), in 2 payments\n",
		},
		"held in another currency, and on its way": {
			func(s *shop) {
				s.exec(`update orders set settled_at = null where id = $1`, s.neverAsked.ID)
				s.forgeMovements(s.neverAsked, moved{"p", payment.KindAuthorise, events.Money{Amount: 500, Currency: "USD"}})
			},
			[]string{ledgerCheck, movesCheck},
			"order NEVERASKED: our database says no payment of an order of EUR 33.00 on its way, the provider's ledger holds EUR 0.00 and keeps EUR 0.00 (authorised EUR 0.00, captured EUR 0.00, voided EUR 0.00, refunded EUR 0.00), and holds USD 5.00 and keeps USD 0.00 (",
		},
		"captured twice and refunded once, and on its way": {
			func(s *shop) {
				s.exec(`update orders set settled_at = null where id = $1`, s.shipped.ID)
				id := s.paymentOf(s.shipped)
				s.forgeMovements(s.shipped, moved{id, payment.KindAuthorise, eur(3300)}, moved{id, payment.KindCapture, eur(3300)}, moved{id, payment.KindRefund, eur(3300)})
			},
			[]string{movesCheck},
			"order SHIPPED: our database says captured EUR 33.00 of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, authorise",
		},
		"never reserved, captured and refunded, and on its way": {
			func(s *shop) {
				s.exec(`update orders set settled_at = null where id = $1`, s.neverAsked.ID)
				s.authorise(s.neverAsked.ID.String(), 3300)
				s.refund(s.neverAsked)
			},
			[]string{movesCheck},
			"order NEVERASKED: our database says no payment of an order of EUR 33.00, the provider's ledger says authorise EUR 33.00, capture EUR 33.00, refund EUR 33.00: captured, and its units were never reserved\n",
		},
		"held for nobody": {
			func(s *shop) { s.authorise(stranger.ID.String(), 1250) },
			[]string{recordCheck, ledgerCheck},
			"order STRANGER: our database knows no such order, the provider's record says authorised EUR 12.50\n",
		},
		"mails missing": {
			func(s *shop) { s.request("DELETE", "/api/messages", "") },
			[]string{mailCheck},
			"SHIPPED/order-shipped: our database says sent, the mailbox doesn't have it\n",
		},
		"a label missing": {
			func(s *shop) { s.deleteLabel(s.shipped) },
			[]string{labelCheck},
			"labels/SHIPPED.pdf: our database says a label, S3 doesn't have it\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			stagetest.Place(t, s.pool, events.StatusPlaced)
			wantClean(t, s, "--moving")
			test.tell(s)
			wantFailed(t, s, test.line, test.checks, "--moving")
		})
	}
}

// TestOrdersGoOnMeanwhile has an order placed, paid, shipped and told of, and
// another one's money held, between the audit's look at the database and its
// look at the rest, and another order after that. No lock of the audit's may be
// in the way.
func TestOrdersGoOnMeanwhile(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--moving"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			meanwhile := func() {
				s.exec(`begin; set local lock_timeout = '10s';
					lock table orders, payments, notifications, shipments in access exclusive mode; commit`)
				s.ship(3300, true)
				s.authorise(s.neverAsked.ID.String(), 3300)
				s.exec(`insert into payments (order_id, provider_id, state, amount, currency) values ($1, 'p', 'authorised', 3300, 'EUR')`, s.neverAsked.ID)
			}
			afterwards := func() { s.ship(3300, true) }
			s.meanwhile.Store(&meanwhile)
			s.afterwards.Store(&afterwards)
			out := wantClean(t, s, args...)
			if s.meanwhile.Load() != nil || s.afterwards.Load() != nil || !strings.Contains(out, "(5 payments, 3 orders on their way)") {
				t.Errorf("nothing went on meanwhile:\n%s", out)
			}
		})
	}
}

// TestAuditCannotLook holds that what couldn't be looked at is not taken for
// clean, nor for wrong.
func TestAuditCannotLook(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	tests := map[string]struct {
		environment map[string]string
		args        []string
		want        string
	}{
		"no such option":     {nil, []string{"--quick"}, "unknown flag --quick"},
		"settings missing":   {map[string]string{"LABEL_BUCKET": "", "PAYMENT_PROVIDER_URL": ""}, nil, "PAYMENT_PROVIDER_URL"},
		"no database":        {map[string]string{"DATABASE_URL": "postgres://127.0.0.1:1/x"}, nil, "is the system running"},
		"no provider":        {map[string]string{"PAYMENT_PROVIDER_URL": "http://127.0.0.1:1"}, nil, "list payments"},
		"another's provider": {map[string]string{"PAYMENT_PROVIDER_KEY": "wrong"}, nil, "list payments"},
		"no mailbox":         {map[string]string{"SENDGRID_HOST": "http://127.0.0.1:1"}, nil, "read mailbox"},
		"another server":     {map[string]string{"SENDGRID_HOST": s.providerAt}, nil, "read mailbox: status 401"},
		"another bucket":     {map[string]string{"LABEL_BUCKET": "another"}, nil, "list labels"},
		"another's bucket":   {map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong"}, nil, "list labels"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environment := s.environment()
			maps.Copy(environment, test.environment)
			var out, trouble strings.Builder
			code := run(t.Context(), append([]string{"--settle=0s"}, test.args...), environment, terminal{out: &out, err: &trouble})
			if code != exitUnknown || !strings.HasPrefix(trouble.String(), "audit: ") || !strings.Contains(trouble.String(), test.want) {
				t.Errorf("audit ends with %d: %s%s", code, out.String(), trouble.String())
			}
		})
	}
}

// TestExitCode runs the program as make audit does.
func TestExitCode(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for want, prepare := range []func(map[string]string){
		exitClean:   func(map[string]string) {},
		exitWrong:   func(map[string]string) { s.authorise(stranger.ID.String(), 1250) },
		exitUnknown: func(environment map[string]string) { environment["PAYMENT_PROVIDER_URL"] = "http://127.0.0.1:1" },
	} {
		environment := s.environment()
		prepare(environment)
		command := exec.CommandContext(t.Context(), os.Args[0], "--settle=0s")
		command.Env = []string{asProgram + "=1"}
		for name, value := range environment {
			command.Env = append(command.Env, name+"="+value)
		}
		out, err := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != want {
			t.Errorf("the program ends with %d (%v), want %d:\n%s", got, err, want, out)
		}
	}
}

// TestSettle waits for an order that comes to its end a moment later.
func TestSettle(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.exec(`update order_events set published_at = null where order_id = $1 and name = 'order-shipped'`, s.shipped.ID)
	done := make(chan int)
	go func() {
		done <- run(t.Context(), []string{"--settle=1m"}, s.environment(), terminal{out: t.Output(), err: t.Output()})
	}()
	stagetest.Await(t, s.pool, `select exists (select from pg_stat_activity where datname = current_database()
		and query like '%published_at is null%violation limit%' and state = 'idle' and state_change < clock_timestamp() - interval '100 ms')`)
	s.finish()
	if code := <-done; code != exitClean {
		t.Errorf("audit ends with %d", code)
	}
}
