package problem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/orderlog"
)

func TestOf(t *testing.T) {
	t.Parallel()
	refused := func(code string) error { return &pgconn.PgError{Code: code, Message: "secret"} }
	tests := []struct {
		err  error
		want int
	}{
		{problem.Malformed("x"), http.StatusBadRequest},
		{problem.TooSlow(), http.StatusRequestTimeout},
		{problem.TooLarge(1), http.StatusRequestEntityTooLarge},
		{problem.NotJSON(), http.StatusUnsupportedMediaType},
		{problem.TooMany(), http.StatusTooManyRequests},
		{problem.NotFound(), http.StatusNotFound},
		{problem.NotAllowed(), http.StatusMethodNotAllowed},
		{problem.Foreign(), http.StatusForbidden},
		{problem.Unavailable(), http.StatusServiceUnavailable},
		{fmt.Errorf("x: %w", checkout.ErrUnsure), http.StatusServiceUnavailable},
		{&checkout.InvalidError{Problems: []checkout.Problem{{Pointer: "/x", Detail: "y"}}}, http.StatusUnprocessableEntity},
		{checkout.ErrKeyReused, http.StatusConflict},
		{checkout.ErrPriceChanged, http.StatusConflict},
		{checkout.ErrTooLate, http.StatusConflict},
		{order.ErrNotFound, http.StatusNotFound},
		{orderlog.ErrNoOrder, http.StatusNotFound},
		{refused("08006"), http.StatusServiceUnavailable},
		{refused("40001"), http.StatusServiceUnavailable},
		{refused("53300"), http.StatusServiceUnavailable},
		{refused("57P01"), http.StatusServiceUnavailable},
		{refused("25P03"), http.StatusServiceUnavailable},
		{refused("55P03"), http.StatusServiceUnavailable},
		{refused("42P01"), http.StatusInternalServerError},
		{refused("23505"), http.StatusInternalServerError},
		{&net.OpError{Op: "dial", Err: errors.New("secret")}, http.StatusServiceUnavailable},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{io.ErrUnexpectedEOF, http.StatusServiceUnavailable},
		{errors.New("secret"), http.StatusInternalServerError},
	}
	for _, test := range tests {
		got := problem.Of(fmt.Errorf("place order: %w", test.err))
		recorder := httptest.NewRecorder()
		got.Write(recorder)
		if got.Status != test.want || recorder.Code != test.want {
			t.Errorf("Of(%v) = %d, want %d", test.err, got.Status, test.want)
		}
		if body := recorder.Body.String(); strings.Contains(body, "secret") || !strings.Contains(body, `"type"`) {
			t.Errorf("Of(%v) is written as %s", test.err, body)
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	invalid := &checkout.InvalidError{Problems: []checkout.Problem{{Pointer: "/customer/name", Detail: "is required"}}}
	if got := invalid.Error(); !strings.Contains(got, "/customer/name") {
		t.Errorf("Error() = %s, want the first field", got)
	}
	if invalid.At("/customer/name") != "is required" || invalid.At("/lines") != "" {
		t.Error("At finds another problem than the field's")
	}
}
