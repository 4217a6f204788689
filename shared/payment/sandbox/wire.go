package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
)

const (
	maxBody = 16 << 10
	maxKey  = 255
)

// readInstruction reads and checks what all instructions have in common. When
// it returns false the answer has been given.
func readInstruction(w http.ResponseWriter, r *http.Request, into any) (instruction, bool) {
	in := instruction{key: r.Header.Get("Idempotency-Key")}
	if in.key == "" || len(in.key) > maxKey {
		invalid(w, "Idempotency-Key: 1 to 255 bytes")
		return in, false
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		answerProblem(w, http.StatusUnsupportedMediaType, payment.CodeMediaType, "send application/json")
		return in, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		answerProblem(w, http.StatusRequestEntityTooLarge, payment.CodeTooLarge, "the body is too large")
		return in, false
	}
	if err != nil || decodeStrictly(body, into) != nil {
		invalid(w, "the body is not the JSON it should be")
		return in, false
	}
	in.hash = requestHash(r, body)
	return in, true
}

func decodeStrictly(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something after the value")
	}
	return nil
}

// checkAuthorise says what is wrong with the request, or "".
func checkAuthorise(req payment.AuthoriseRequest) string {
	if !validID(req.OrderID) {
		return "order_id: 1 to 64 letters, digits, - or _"
	}
	return checkAmount(req.Amount)
}

// checkAmount says what is wrong with an amount that is to be moved, or "".
func checkAmount(amount events.Money) string {
	switch {
	case amount.Amount <= 0:
		return "amount: not positive"
	case !isCurrency(amount.Currency):
		return "amount.currency: not an ISO 4217 code"
	default:
		return ""
	}
}

func validID(id string) bool {
	return len(id) > 0 && len(id) <= 64 && strings.IndexFunc(id, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return !letter && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
}

func isCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

func (s *Server) carryOut(w http.ResponseWriter, in instruction) {
	out, err := s.ledger.carryOut(in)
	s.answerOutcome(w, out, err)
}

func (s *Server) answerOutcome(w http.ResponseWriter, out outcome, err error) {
	switch {
	case err != nil:
		s.unavailable(w, err)
	case errors.Is(out.refusal, errNotFound):
		answerProblem(w, http.StatusNotFound, payment.CodeNotFound, out.refusal.Error())
	case errors.Is(out.refusal, errExists):
		answerProblem(w, http.StatusConflict, payment.CodeExists, out.refusal.Error())
	case errors.Is(out.refusal, errNotKept):
		answerProblem(w, http.StatusConflict, payment.CodeNotKept, out.refusal.Error())
	case out.refusal != nil:
		answerProblem(w, http.StatusConflict, payment.CodeConflict, out.refusal.Error())
	default:
		if out.replayed {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		answer(w, http.StatusOK, out.payment)
	}
}

func (s *Server) answerPage(w http.ResponseWriter, page any, err error) {
	if err != nil {
		s.unavailable(w, err)
		return
	}
	answer(w, http.StatusOK, page)
}

func (s *Server) unavailable(w http.ResponseWriter, err error) {
	s.logger.Error("payment ledger", "err", err)
	refuse(w, http.StatusServiceUnavailable)
}

func invalid(w http.ResponseWriter, message string) {
	answerProblem(w, http.StatusBadRequest, payment.CodeInvalid, message)
}

// refuse answers with a status alone.
func refuse(w http.ResponseWriter, status int) {
	code := payment.CodeUnavailable
	if status == http.StatusUnauthorized {
		code = payment.CodeUnauthorised
	}
	answerProblem(w, status, code, http.StatusText(status))
}

func answerProblem(w http.ResponseWriter, status int, code payment.Code, message string) {
	answer(w, status, payment.Problem{Code: code, Message: message})
}

func answer(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // a caller that is gone needs no answer
}
