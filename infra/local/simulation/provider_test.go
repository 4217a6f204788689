package simulation

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/shared/payment"
)

// provider is the sandbox payment provider without its disk: a test holds it to
// the real one, request by request.
type provider struct {
	now func() time.Time
	// closes says that a release keeps out what arrives after it, which we rely on.
	closes   bool
	payments map[string]*account
	first    map[string]first
	ledger   []payment.Movement
}

// account is an order's payment with what the provider keeps to itself.
type account struct {
	payment.Payment

	captureDecline string
	heldUntil      time.Time
}

// first is the answer that an idempotency key got, and for which request.
type first struct {
	request string
	answer  payment.Payment
}

func newProvider(now func() time.Time) *provider {
	return &provider{now: now, closes: true, payments: map[string]*account{}, first: map[string]first{}}
}

func (p *provider) serve(method, path, key string, body []byte) (int, []byte) {
	if method == http.MethodGet {
		return p.find(strings.TrimPrefix(path, "/v1/payments/"))
	}
	request := path + "\n" + string(body)
	if known, again := p.first[key]; again && known.request != request {
		return problem(http.StatusConflict, payment.CodeConflict)
	} else if again && !strings.HasSuffix(path, "/release") {
		return answer(known.answer)
	}
	var made *account
	var status int
	var refusal []byte
	if path == "/v1/payments" {
		made, status, refusal = p.authorise(body)
	} else {
		order, action, _ := strings.Cut(strings.TrimPrefix(path, "/v1/payments/"), "/")
		made, status, refusal = p.act(order, action)
	}
	if made == nil {
		return status, refusal
	}
	p.first[key] = first{request, made.Payment}
	return answer(made.Payment)
}

func (p *provider) find(order string) (int, []byte) {
	a := p.payments[order]
	p.expire(a)
	if a == nil || a.State == payment.StateNone {
		return problem(http.StatusNotFound, payment.CodeNotFound)
	}
	return answer(a.Payment)
}

func (p *provider) authorise(body []byte) (*account, int, []byte) {
	var r payment.AuthoriseRequest
	if err := json.Unmarshal(body, &r); err != nil {
		status, refusal := problem(http.StatusBadRequest, payment.CodeInvalid)
		return nil, status, refusal
	}
	a := p.payments[r.OrderID]
	p.expire(a)
	if a != nil && a.State != payment.StateNone {
		status, refusal := problem(http.StatusConflict, payment.CodeExists)
		return nil, status, refusal
	}
	released := a != nil && p.closes
	a = &account{Payment: payment.Payment{ID: "pay_" + r.OrderID, OrderID: r.OrderID, Amount: r.Amount}}
	p.payments[r.OrderID] = a
	switch {
	case released:
		p.decline(a, "order_released", payment.KindDecline)
	case strings.Contains(r.Method, "chargeDeclined"):
		p.decline(a, "card_declined", payment.KindDecline)
	default:
		a.State, a.AuthorisedAt, a.heldUntil = payment.StateAuthorised, p.now().UTC(), p.now().Add(7*24*time.Hour)
		if r.Method == "pm_card_authorisationExpires" {
			a.heldUntil = p.now()
		}
		if r.Method == "pm_card_chargeCustomerFail" {
			a.captureDecline = "card_declined"
		}
		p.move(a, payment.KindAuthorise)
	}
	return a, 0, nil
}

func (p *provider) act(order, action string) (*account, int, []byte) {
	a := p.payments[order]
	p.expire(a)
	switch {
	case action == "capture" && (a == nil || a.State == payment.StateNone):
		status, refusal := problem(http.StatusNotFound, payment.CodeNotFound)
		return nil, status, refusal
	case action == "capture":
		p.capture(a)
	case a == nil:
		a = &account{Payment: payment.Payment{OrderID: order, State: payment.StateNone}}
		p.payments[order] = a
	default:
		p.release(a)
	}
	return a, 0, nil
}

func (p *provider) expire(a *account) {
	if a == nil || a.State != payment.StateAuthorised || p.now().Before(a.heldUntil) {
		return
	}
	a.State, a.Expired, a.ClosedAt = payment.StateVoided, true, p.now().UTC()
	p.move(a, payment.KindVoid)
}

func (p *provider) decline(a *account, code string, kind payment.Kind) {
	a.State, a.DeclineCode, a.ClosedAt = payment.StateDeclined, code, p.now().UTC()
	p.move(a, kind)
}

func (p *provider) capture(a *account) {
	switch {
	case a.State != payment.StateAuthorised:
	case a.captureDecline != "":
		p.decline(a, a.captureDecline, payment.KindVoid)
	default:
		a.State, a.CapturedAt = payment.StateCaptured, p.now().UTC()
		p.move(a, payment.KindCapture)
	}
}

func (p *provider) release(a *account) {
	switch a.State {
	case payment.StateAuthorised:
		a.State, a.ClosedAt = payment.StateVoided, p.now().UTC()
		p.move(a, payment.KindVoid)
	case payment.StateCaptured:
		a.State, a.Refunded, a.ClosedAt = payment.StateRefunded, a.Amount.Amount, p.now().UTC()
		p.move(a, payment.KindRefund)
	default:
	}
}

func (p *provider) move(a *account, kind payment.Kind) {
	p.ledger = append(p.ledger, payment.Movement{
		Seq: uint64(len(p.ledger) + 1), At: p.now().UTC(), OrderID: a.OrderID, PaymentID: a.ID, Kind: kind, Amount: a.Amount, State: a.State,
	})
}

func answer(p payment.Payment) (int, []byte) {
	return http.StatusOK, encode(p)
}

func encode(plain any) []byte {
	encoded, err := json.Marshal(plain)
	if err != nil {
		panic(err) // it is plain data
	}
	return encoded
}

func problem(status int, code payment.Code) (int, []byte) {
	return status, []byte(`{"code":"` + string(code) + `","message":""}`)
}
