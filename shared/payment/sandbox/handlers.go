package sandbox

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

const maxPage = 1000

func (s *Server) authorise(w http.ResponseWriter, r *http.Request) {
	var req payment.AuthoriseRequest
	in, ok := readInstruction(w, r, &req)
	if !ok {
		return
	}
	method, known := s.cards[req.Method]
	if problem := checkAuthorise(req); problem != "" {
		invalid(w, problem)
		return
	} else if !known {
		answerProblem(w, http.StatusBadRequest, payment.CodeUnknownMethod, "unknown payment method")
		return
	}
	in.order, in.replay = req.OrderID, true
	in.act = func(r *record, now time.Time) (payment.Kind, error) {
		if r.exists() {
			return "", errExists
		}
		return r.authorise(req, method, s.hold, now), nil
	}
	s.carryOut(w, in)
}

func (s *Server) capture(w http.ResponseWriter, r *http.Request) {
	in, ok := readInstruction(w, r, &struct{}{})
	if !ok {
		return
	}
	in.order, in.replay = r.PathValue("order"), true
	in.act = func(r *record, now time.Time) (payment.Kind, error) {
		if !r.exists() {
			return "", errNotFound
		}
		return r.capture(now), nil
	}
	s.carryOut(w, in)
}

// release looks at the payment anew each time: that nothing was held when it
// was first asked is no answer to whether something is held now.
func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	in, ok := readInstruction(w, r, &struct{}{})
	if !ok {
		return
	}
	in.order = r.PathValue("order")
	if !validID(in.order) {
		invalid(w, "order id: 1 to 64 letters, digits, - or _")
		return
	}
	in.act = func(r *record, now time.Time) (payment.Kind, error) {
		if r.State == "" {
			r.State = payment.StateNone
		}
		return r.release(now), nil
	}
	s.carryOut(w, in)
}

func (s *Server) refund(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Return int          `json:"return"`
		Amount events.Money `json:"amount"`
	}
	in, ok := readInstruction(w, r, &req)
	if !ok {
		return
	}
	if problem := checkAmount(req.Amount); problem != "" {
		invalid(w, problem)
		return
	} else if req.Return < 1 {
		invalid(w, "return: not positive")
		return
	}
	in.order, in.replay = r.PathValue("order"), true
	in.act = func(r *record, now time.Time) (payment.Kind, error) {
		if !r.exists() {
			return "", errNotFound
		}
		return r.refund(req.Amount, now)
	}
	s.carryOut(w, in)
}

func (s *Server) find(w http.ResponseWriter, r *http.Request) {
	out, err := s.ledger.find(r.PathValue("order"))
	s.answerOutcome(w, out, err)
}

func (s *Server) listMovements(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(orZero(r.FormValue("after")), 10, 64)
	limit, ok := pageSize(r)
	if err != nil || !ok {
		invalid(w, "after or limit is not a number")
		return
	}
	page, err := s.ledger.movements(after, limit)
	s.answerPage(w, page, err)
}

func (s *Server) listPayments(w http.ResponseWriter, r *http.Request) {
	limit, ok := pageSize(r)
	if !ok {
		invalid(w, "limit is not a number")
		return
	}
	page, err := s.ledger.payments(r.FormValue("after"), limit)
	s.answerPage(w, page, err)
}

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if _, err := s.ledger.movements(0, 1); err != nil {
		s.unavailable(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func pageSize(r *http.Request) (int, bool) {
	size := r.FormValue("limit")
	if size == "" {
		return maxPage, true
	}
	limit, err := strconv.Atoi(size)
	return min(max(limit, 1), maxPage), err == nil
}

func orZero(number string) string {
	if number == "" {
		return "0"
	}
	return number
}

// requestHash is what a repeated request must have in common with the first.
func requestHash(r *http.Request, body []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(r.Method+" "+r.URL.Path+"\n"), body...))
}
