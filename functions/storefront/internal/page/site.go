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
	"github.com/orderflow-project/orderflow/shared/asset"
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
	// Finders bounds how often a client may ask for the link to an order.
	Finders *guard.Limiter
	Now     func() time.Time
	// BodyTimeout bounds how long a form may take to arrive.
	BodyTimeout time.Duration
	// Secure says that customers come by https.
	Secure bool
}

// site serves the pages.
type site struct {
	Parts

	pages   templates
	static  asset.Files
	tongues []*tongue
}

// timeout bounds the making of a page.
const timeout = 10 * time.Second

// New returns the pages of the shop.
func New(parts Parts) (http.Handler, error) {
	static, err := asset.Load(staticFiles)
	if err != nil {
		return nil, err
	}
	tongues, err := loadTongues()
	if err != nil {
		return nil, err
	}
	pages, err := loadTemplates(static, tongues)
	if err != nil {
		return nil, err
	}
	s := &site{Parts: parts, pages: pages, static: static, tongues: tongues}
	return s.routes(), nil
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /favicon.ico", http.RedirectHandler(s.static.URL("icon.svg"), http.StatusFound))
	for pattern, handle := range map[string]handler{
		"GET /static/":             s.asset,
		"GET /{$}":                 s.home,
		"GET /products":            s.products,
		"GET /products/{sku}":      s.product,
		"GET /basket":              s.basket,
		"POST /basket":             s.addToBasket,
		"POST /basket/lines":       s.changeBasket,
		"GET /checkout":            s.checkout,
		"POST /checkout":           s.placeOrder,
		"GET /orders/{id}":         s.order,
		"GET /orders/{id}/receipt": s.receipt,
		"POST /orders/{id}/cancel": s.cancelOrder,
		"GET /find-order":          s.findOrder,
		"POST /find-order":         s.sendLink,
		"POST /language":           s.chooseLanguage,
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
	err = s.show(w, r, "message", answer.Status, struct {
		frame

		Message notice
	}{s.frame(r, say(answer.Title)), noticeFor(answer)})
	if err != nil {
		s.Logger.ErrorContext(r.Context(), "page", "route", r.Pattern, "error", err.Error())
		http.Error(w, answer.Title, answer.Status)
	}
}

func (s *site) frame(r *http.Request, title phrase) frame {
	return frame{Title: title, Basket: readBasket(r).Count(), Back: ownPath(r.URL.RequestURI())}
}

// show renders a page in the language of who asks for it.
func (s *site) show(w http.ResponseWriter, r *http.Request, name string, status int, data any) error {
	in := s.tongueOf(r)
	w.Header().Set("Content-Language", in.Code())
	w.Header().Add("Vary", "Accept-Language, Cookie")
	return s.pages.render(w, in, name, status, data)
}

// notice is an error in words.
type notice struct {
	Heading, Text phrase
	// Find says that the way to a lost order is of use.
	Find bool
}

func noticeFor(p problem.Problem) notice {
	if p.Type == problem.Unsure().Type {
		return notice{Heading: say("We lost the thread"), Text: say("Your order may have come through, or not. Please go back and send the form again: one form is one order, however often it is sent.")}
	}
	switch p.Status {
	case http.StatusNotFound:
		return notice{Heading: say("Nothing on this shelf"), Text: say("The page you asked for isn’t here. It may have moved, or the address lost a letter on the way.")}
	case http.StatusServiceUnavailable:
		return notice{Heading: say("Closed for a moment"), Text: say("Something behind the counter is catching its breath. Please try again in a few seconds.")}
	case http.StatusTooManyRequests:
		return notice{Heading: say("One at a time, please"), Text: say("That was a lot in a short while. Nothing was lost: wait a minute, then send it again.")}
	case http.StatusInternalServerError:
		return notice{Heading: say("Something spilled"), Text: say("That’s our fault, and we’ve made a note of it. Please try again; if it happens twice, come back a little later.")}
	}
	return notice{Heading: say(p.Title), Text: say(p.Detail)}
}
