// Package page is the shop for people: server-rendered pages that need no
// JavaScript, and use a little of it where there is some.
package page

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/catalogue"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/guard"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// tokens makes the token of an order.
type tokens interface {
	Derive(orderID uuid.UUID) string
}

// Parts are what the site is put together from.
type Parts struct {
	Catalogue *catalogue.Catalogue
	Desk      *checkout.Desk
	Book      *order.Book
	Tokens    tokens
	Limiter   *guard.Limiter
	Logger    *slog.Logger
	// Secure says that customers come by https.
	Secure bool
}

// site serves the pages.
type site struct {
	Parts

	pages  templates
	static assets
}

// timeout bounds the making of a page.
const timeout = 10 * time.Second

// New returns the pages of the shop.
func New(parts Parts) (http.Handler, error) {
	static, err := loadAssets()
	if err != nil {
		return nil, err
	}
	pages, err := loadTemplates(static)
	if err != nil {
		return nil, err
	}
	s := &site{Parts: parts, pages: pages, static: static}
	return s.routes(), nil
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /favicon.ico", http.RedirectHandler(s.static.url("icon.svg"), http.StatusFound))
	for pattern, handle := range map[string]handler{
		"GET /static/":             s.asset,
		"GET /{$}":                 s.home,
		"GET /products/{sku}":      s.product,
		"GET /basket":              s.basket,
		"POST /basket":             s.addToBasket,
		"POST /basket/lines":       s.changeBasket,
		"GET /checkout":            s.checkout,
		"POST /checkout":           s.placeOrder,
		"GET /orders/{id}":         s.order,
		"POST /orders/{id}/cancel": s.cancelOrder,
		"/":                        func(http.ResponseWriter, *http.Request) error { return problem.NotFound() },
	} {
		mux.Handle(pattern, s.answer(handle))
	}
	return mux
}

// handler returns an error for what it hasn't answered.
type handler func(w http.ResponseWriter, r *http.Request) error

func (s *site) answer(handle handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if err := handle(w, r.WithContext(ctx)); err != nil {
			s.fail(w, r, err)
		}
	})
}

// fail shows an error as a page.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	answer := problem.Of(err)
	if answer.Status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.Logger.ErrorContext(r.Context(), "page", "route", r.Pattern, "status", answer.Status, "error", err.Error())
	}
	answer.Headers(w.Header())
	err = s.pages.render(w, "message", answer.Status, struct {
		frame

		Message message
	}{s.frame(r, answer.Title), messageFor(answer)})
	if err != nil {
		s.Logger.ErrorContext(r.Context(), "page", "route", r.Pattern, "error", err.Error())
		http.Error(w, answer.Title, answer.Status)
	}
}

func (s *site) frame(r *http.Request, title string) frame {
	return frame{Title: title, Basket: readBasket(r).Count()}
}

// message is an error in words.
type message struct {
	Heading, Text string
}

func messageFor(p problem.Problem) message {
	if p.Type == problem.Unsure().Type {
		return message{"We lost the thread", "Your order may have come through, or not. Please go back and send the form again: one form is one order, however often it is sent."}
	}
	switch p.Status {
	case http.StatusNotFound:
		return message{"Nothing on this shelf", "The page you asked for isn’t here. It may have moved, or the address lost a letter on the way."}
	case http.StatusServiceUnavailable:
		return message{"Closed for a moment", "Something behind the counter is catching its breath. Please try again in a few seconds."}
	case http.StatusTooManyRequests:
		return message{"One at a time, please", "That was a lot of orders in a short while. Nothing was lost: wait a minute, then send this one again."}
	case http.StatusInternalServerError:
		return message{"Something spilled", "That’s our fault, and we’ve made a note of it. Please try again; if it happens twice, come back a little later."}
	}
	return message{p.Title, p.Detail}
}
