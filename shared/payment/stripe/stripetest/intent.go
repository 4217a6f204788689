package stripetest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// card is how a test payment method behaves.
type card struct {
	// decline refuses the authorisation and captureDecline the capture: Stripe's
	// code and the bank's.
	decline, captureDecline [2]string
	// acts wants its holder to act, though nobody should be asked.
	acts bool
	// lapses lets the hold run out before Stripe has noticed.
	lapses bool
}

// cards carry Stripe's names for its test payment methods. Of the last three it
// has none: the first is the sandbox's, and so is what it does there.
func cards() map[string]card {
	return map[string]card{
		"pm_card_visa":                                 {},
		"pm_card_visa_chargeDeclined":                  {decline: [2]string{"card_declined", "generic_decline"}},
		"pm_card_visa_chargeDeclinedInsufficientFunds": {decline: [2]string{"card_declined", "insufficient_funds"}},
		"pm_card_visa_chargeDeclinedLostCard":          {decline: [2]string{"card_declined", "lost_card"}},
		"pm_card_chargeDeclinedExpiredCard":            {decline: [2]string{"expired_card", ""}},
		"pm_card_chargeDeclinedIncorrectCvc":           {decline: [2]string{"incorrect_cvc", ""}},
		"pm_card_threeDSecure2Required":                {decline: [2]string{"authentication_required", "authentication_required"}},
		"pm_card_chargeCustomerFail":                   {captureDecline: [2]string{"card_declined", "generic_decline"}},
		"pm_card_asksItsHolder":                        {acts: true},
		"pm_card_lapses":                               {lapses: true},
	}
}

// The states of a PaymentIntent that occur here.
const (
	needsMethod  = "requires_payment_method"
	needsAction  = "requires_action"
	needsCapture = "requires_capture"
	succeeded    = "succeeded"
	canceled     = "canceled"
)

// intent is a PaymentIntent with its charge.
type intent struct {
	ID, Status, Currency, reason string
	Amount                       int64
	Metadata                     map[string]string
	card                         card
	lastError                    *refusal
	charged, paid, refunded      bool
	refunds                      []refund
	created, charge, capture     time.Time
	cancelled                    time.Time
}

// refund is one of a charge's.
type refund struct {
	ID, status string
	amount     int64
	metadata   map[string]string
	made       time.Time
}

func (r refund) json() map[string]any {
	return map[string]any{
		"id": r.ID, "object": "refund", "status": r.status, "amount": r.amount, "metadata": r.metadata, "created": r.made.Unix(),
	}
}

// given is how much was refunded. What Stripe had to take back isn't.
func (i *intent) given() int64 {
	var all int64
	for _, one := range i.refunds {
		if one.status == succeeded {
			all += one.amount
		}
	}
	return all
}

// refusal is an error of Stripe's.
type refusal struct {
	status                              int
	kind, code, decline, param, message string
}

func (r refusal) json() map[string]any {
	if r.message == "" {
		r.message = "What Stripe's messages say, of a customer."
	}
	fields := map[string]any{"type": r.kind, "message": r.message}
	for name, value := range map[string]string{"code": r.code, "decline_code": r.decline, "param": r.param} {
		if value != "" {
			fields[name] = value
		}
	}
	return fields
}

func (r refusal) answer(i *intent) (status int, said []byte) {
	fields := r.json()
	if i != nil {
		fields["payment_intent"] = i.json(nil, nil)
	}
	return r.status, encode(map[string]any{"error": fields})
}

func missing(param string) (status int, said []byte) {
	return refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "resource_missing", param: param}.answer(nil)
}

func unexpected() *refusal {
	return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "payment_intent_unexpected_state"}
}

func declined(codes [2]string) *refusal {
	return &refusal{status: http.StatusPaymentRequired, kind: "card_error", code: codes[0], decline: codes[1]}
}

func (s *Server) create(form url.Values) (status int, said []byte) {
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil || amount <= 0 || form.Get("currency") == "" {
		return refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "parameter_invalid_integer", param: "amount"}.answer(nil)
	}
	i := &intent{
		ID: "pi_" + strconv.Itoa(len(s.intents)+1), Status: needsMethod, Amount: amount, Currency: form.Get("currency"),
		Metadata: map[string]string{}, created: s.now(),
	}
	i.note(form)
	s.intents = append(s.intents, i)
	return http.StatusOK, encode(i.json(form["expand[]"], form))
}

func (i *intent) note(form url.Values) {
	maps.Copy(i.Metadata, metadata(form))
}

func metadata(form url.Values) map[string]string {
	noted := map[string]string{}
	for name, values := range form {
		if key, found := strings.CutPrefix(name, "metadata["); found {
			noted[strings.TrimSuffix(key, "]")] = values[0]
		}
	}
	return noted
}

// act takes a PaymentIntent one step on, or says why it can't be.
func (s *Server) act(i *intent, step string, form url.Values) *refusal {
	switch step {
	case "update":
		i.note(form)
		return nil
	case "confirm":
		return s.confirm(i, form)
	case "capture":
		return s.captureOf(i)
	case "cancel":
		return s.cancel(i, form.Get("cancellation_reason"))
	case "refund":
		return s.refundOf(i, form)
	default:
		return &refusal{status: http.StatusNotFound, kind: "invalid_request_error"}
	}
}

func (s *Server) moved(i *intent, kind payment.Kind) {
	order := i.Metadata["order_id"]
	s.moves[order] = append(s.moves[order], kind)
}

func (s *Server) confirm(i *intent, form url.Values) *refusal {
	if i.Status != needsMethod {
		return unexpected()
	}
	method, known := cards()[form.Get("payment_method")]
	if !known {
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "resource_missing", param: "payment_method"}
	}
	i.card = method
	if method.acts {
		i.Status = needsAction
		return nil
	}
	i.charged, i.charge = true, s.now()
	if method.decline[0] != "" {
		i.lastError = declined(method.decline)
		s.moved(i, payment.KindDecline)
		return i.lastError
	}
	i.Status, i.lastError = needsCapture, nil
	s.moved(i, payment.KindAuthorise)
	return nil
}

func (s *Server) captureOf(i *intent) *refusal {
	switch {
	case i.Status != needsCapture:
		return unexpected()
	case i.card.lapses:
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "charge_expired_for_capture"}
	case i.card.captureDecline[0] != "":
		return declined(i.card.captureDecline)
	}
	i.Status, i.paid, i.capture = succeeded, true, s.now()
	s.moved(i, payment.KindCapture)
	return nil
}

func (s *Server) cancel(i *intent, reason string) *refusal {
	if i.Status == succeeded || i.Status == canceled {
		return unexpected()
	}
	if i.Status == needsCapture {
		s.moved(i, payment.KindVoid)
	}
	i.Status, i.reason, i.cancelled = canceled, reason, s.now()
	return nil
}

func (s *Server) refundOf(i *intent, form url.Values) *refusal {
	amount := i.Amount - i.given()
	if asked, err := strconv.ParseInt(form.Get("amount"), 10, 64); err == nil {
		amount = asked
	}
	switch {
	case i.Status != succeeded:
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "charge_not_refundable"}
	case i.refunded:
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", code: "charge_already_refunded"}
	case amount <= 0 || amount > i.Amount-i.given():
		return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", param: "amount"}
	}
	i.refunds = append(i.refunds, refund{
		ID: fmt.Sprintf("re_%s_%d", i.ID, len(i.refunds)+1), status: succeeded, amount: amount, metadata: metadata(form), made: s.now(),
	})
	i.refunded = i.given() == i.Amount
	s.moved(i, payment.KindRefund)
	return nil
}

// expire cancels what was held for too long.
func (s *Server) expire() {
	for _, i := range s.intents {
		if i.Status == needsCapture && s.now().Sub(i.charge) >= hold {
			s.cancel(i, "automatic")
		}
	}
}

// json is the object as Stripe shows it. What isn't asked for by expand is an id.
func (i *intent) json(expand []string, form url.Values) map[string]any {
	for name, values := range form { // expand[0] is what stripe-go sends
		if strings.HasPrefix(name, "expand[") {
			expand = append(expand, values...)
		}
	}
	fields := map[string]any{
		"id": i.ID, "object": "payment_intent", "amount": i.Amount, "currency": i.Currency, "status": i.Status,
		"capture_method": "manual", "created": i.created.Unix(), "metadata": i.Metadata, "amount_received": 0,
		"amount_capturable": 0, "latest_charge": nil, "last_payment_error": nil, "canceled_at": nil, "cancellation_reason": nil,
	}
	switch i.Status {
	case needsCapture:
		fields["amount_capturable"] = i.Amount
	case succeeded:
		fields["amount_received"] = i.Amount
	case canceled:
		fields["canceled_at"] = i.cancelled.Unix()
		if i.reason != "" {
			fields["cancellation_reason"] = i.reason
		}
	}
	if i.lastError != nil {
		fields["last_payment_error"] = i.lastError.json()
	}
	if i.charged {
		fields["latest_charge"] = i.chargeJSON(expand)
	}
	return fields
}

func (i *intent) chargeJSON(expand []string) any {
	id := strings.Replace(i.ID, "pi_", "ch_", 1)
	if !slices.ContainsFunc(expand, func(e string) bool { return strings.HasPrefix(e, "latest_charge") }) {
		return id
	}
	charge := map[string]any{
		"id": id, "object": "charge", "created": i.charge.Unix(), "status": succeeded, "captured": i.paid, "refunded": i.refunded,
		"amount_refunded":     i.given(),
		"balance_transaction": nil,
	}
	if i.lastError != nil {
		charge["status"] = "failed"
	}
	if i.paid {
		charge["balance_transaction"] = map[string]any{"id": "txn_" + i.ID, "object": "balance_transaction", "created": i.capture.Unix()}
		if !slices.Contains(expand, "latest_charge.balance_transaction") {
			charge["balance_transaction"] = "txn_" + i.ID
		}
	}
	if slices.Contains(expand, "latest_charge.refunds") {
		refunds := []any{}
		for _, one := range i.refunds {
			refunds = append(refunds, one.json())
		}
		charge["refunds"] = map[string]any{"object": "list", "data": refunds}
	}
	return charge
}
