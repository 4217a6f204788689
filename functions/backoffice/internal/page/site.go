// Package page is the back office for people: server-rendered pages, each for a role,
// whose every action is confirmed and goes into the audit trail.
package page

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/asset"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
	"github.com/orderflow-project/orderflow/shared/orderstory"
	"github.com/orderflow-project/orderflow/shared/stockroom"
)

// Orders is what operators do about orders. What was done is said in a sentence; what
// can't be is a trail.Refused, and an order that isn't there book.ErrNoSuch.
type Orders interface {
	Cancel(ctx context.Context, id uuid.UUID, act orderdesk.Act) (string, error)
	TakeBack(ctx context.Context, id uuid.UUID, back orderdesk.Return, act orderdesk.Act) (string, error)
}

// Parts are what the site is put together from.
type Parts struct {
	Book      *book.Book
	Trail     *trail.Trail
	Orders    Orders
	Letters   *deadletter.Desk
	Addresses deadletter.Addresses
	Sink      deadletter.Sender
	Room      *stockroom.Room
	// Story tells an order's whole life, by its id or number.
	Story func(ctx context.Context, order string) (orderstory.Story, error)
	// Cookies, Password and Provider are nil where nobody signs in that way.
	Cookies  *signin.Cookies
	Password *signin.Password
	Provider *signin.Provider
	// Low is of how many units there are few left.
	Low int64
	// Proxies is how many in front add to X-Forwarded-For.
	Proxies int
	Logger  *slog.Logger
	// Now is for deadlines only.
	Now func() time.Time
	API http.Handler
}

type site struct {
	Parts

	pages  templates
	static asset.Files
}

const (
	// viewFor bounds the making of a page, and actFor an action: both below the 30 s of
	// func's server.
	viewFor = 10 * time.Second
	actFor  = 20 * time.Second
	// sendFor is how long a form may take to arrive, and maxForm how long it may be.
	sendFor = 10 * time.Second
	maxForm = 64 << 10
)

// New returns the pages.
func New(parts Parts) (http.Handler, error) {
	static, err := asset.Load(staticFiles)
	if err != nil {
		return nil, err
	}
	pages, err := loadTemplates(static)
	if err != nil {
		return nil, err
	}
	s := &site{Parts: parts, pages: pages, static: static}
	mux := http.NewServeMux()
	for _, route := range table() {
		mux.Handle(route.pattern, s.serve(route))
	}
	mux.Handle("/api/", parts.API)
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, signin.Session{}, problem{http.StatusForbidden, "Not from there", "Another site has sent this form. Nothing was done."})
	}))
	return protection.Handler(mux), nil
}

// request is a request with who has sent it.
type request struct {
	*http.Request

	who signin.Session
}

// handler returns an error for what it hasn't answered.
type handler func(s *site, w http.ResponseWriter, r request) error

// route is an address, and the role that it needs.
type route struct {
	pattern string
	needs   signin.Role
	handle  handler
}

// table lists every address. Whoever has no session gets nowhere but to signing in.
func table() []route {
	return []route{
		{"GET /sign-in", signin.Nobody, (*site).signIn},
		{"POST /sign-in", signin.Nobody, (*site).withPassword},
		{"GET /sign-in/provider", signin.Nobody, (*site).toProvider},
		{"GET " + signin.CallbackPath, signin.Nobody, (*site).fromProvider},
		{"GET /static/", signin.Nobody, (*site).asset},
		{"/", signin.Nobody, func(*site, http.ResponseWriter, request) error { return book.ErrNoSuch }},

		{"POST /sign-out", signin.Viewer, (*site).signOut},
		{"GET /{$}", signin.Viewer, (*site).today},
		{"GET /orders", signin.Viewer, (*site).orders},
		{"GET /orders/{id}", signin.Viewer, (*site).order},
		{"GET /stock", signin.Viewer, (*site).stock},
		{"GET /stock/{sku}", signin.Viewer, (*site).article},
		{"GET /dead-letters", signin.Viewer, (*site).letters},
		{"GET /dead-letters/{id}", signin.Viewer, (*site).letter},
		{"GET /mail", signin.Viewer, (*site).mail},
		{"GET /checks", signin.Viewer, (*site).checks},
		{"GET /figures", signin.Viewer, (*site).figures},
		{"GET /plots/{name}", signin.Viewer, (*site).plot},

		{"POST /orders/{id}/cancel", signin.Operator, (*site).cancelOrder},
		{"POST /orders/{id}/take-back", signin.Operator, (*site).takeBack},
		{"POST /orders/{id}/redrive", signin.Operator, (*site).redriveOrder},
		{"POST /stock/{sku}/receive", signin.Operator, (*site).receive},
		{"POST /stock/{sku}/adjust", signin.Operator, (*site).adjust},
		{"POST /dead-letters/redrive", signin.Operator, (*site).redriveCause},
		{"POST /dead-letters/{id}/redrive", signin.Operator, (*site).redriveLetter},

		{"POST /dead-letters/{id}/edit", signin.Admin, (*site).editLetter},
		{"POST /dead-letters/{id}/discard", signin.Admin, (*site).discardLetter},
		{"POST /dead-letters/discard", signin.Admin, (*site).discardCause},
		{"GET /trail", signin.Admin, (*site).showTrail},
	}
}

// Routes are the patterns of all addresses, with the role that each needs.
func Routes() map[string]signin.Role {
	needs := map[string]signin.Role{}
	for _, route := range table() {
		needs[route.pattern] = route.needs
	}
	return needs
}

func (s *site) serve(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, plain *http.Request) {
		limit := viewFor
		if plain.Method == http.MethodPost {
			limit = actFor
		}
		ctx, cancel := context.WithTimeout(plain.Context(), limit)
		defer cancel()
		r := request{Request: plain.WithContext(ctx)}
		if s.Cookies != nil {
			r.who = s.Cookies.Session(plain)
		}
		err := s.admit(w, r, route)
		if err == nil {
			err = route.handle(s, w, r)
		}
		if err != nil {
			s.fail(w, r.Request, r.who, err)
		}
	})
}

// errSignIn says that somebody has to sign in first.
var errSignIn = errors.New("not signed in")

// admit lets in who has the role, with a form of ours.
func (s *site) admit(w http.ResponseWriter, r request, route route) error {
	switch {
	case !storable(r.URL.Path) || !all(r.URL.Query(), storable):
		return book.ErrNoSuch
	case route.needs != signin.Nobody && r.who.Role == signin.Nobody:
		return errSignIn
	case !r.who.Role.May(route.needs):
		return problem{http.StatusForbidden, "This is for others", "It needs the role " + string(route.needs) + ", and you are signed in as " + string(r.who.Role) + "."}
	case r.Method != http.MethodPost:
		return nil
	}
	if err := s.readForm(w, r.Request); err != nil {
		return err
	}
	if !all(r.PostForm, storable) {
		return problem{http.StatusBadRequest, "This can’t be read", "Nothing was done. It has characters that nothing has."}
	}
	if route.needs != signin.Nobody && !r.who.Sent(r.PostForm.Get("token")) {
		return problem{http.StatusForbidden, "This form is of another session", "Nothing was done. Please go back, load the page again, and send it once more."}
	}
	return nil
}

// storable tells whether a text is one that the database could have.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

func all(values url.Values, fits func(string) bool) bool {
	for _, several := range values {
		if slices.ContainsFunc(several, func(one string) bool { return !fits(one) }) {
			return false
		}
	}
	return true
}

// readForm takes in a form that is no longer than a form is, and no slower.
func (s *site) readForm(w http.ResponseWriter, r *http.Request) error {
	// Where there is no connection, as in a test, there is no deadline either.
	_ = http.NewResponseController(w).SetReadDeadline(s.Now().Add(sendFor))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return problem{http.StatusRequestEntityTooLarge, "This is too long", "Nothing was done."}
	}
	if err != nil {
		return problem{http.StatusBadRequest, "This can’t be read", "Nothing was done. Please go back and send the form again."}
	}
	return nil
}

// problem is an answer in words for what went wrong.
type problem struct {
	status        int
	heading, text string
}

// Error implements error.
func (p problem) Error() string { return p.heading }

// fail shows an error as a page.
func (s *site) fail(w http.ResponseWriter, r *http.Request, who signin.Session, err error) {
	if errors.Is(err, errSignIn) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(signin.Next(r.URL.RequestURI())), http.StatusSeeOther)
		return
	}
	answer := answerTo(err)
	if answer.status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.Logger.ErrorContext(r.Context(), "page", "route", r.Pattern, "status", answer.status, "error", err.Error())
	}
	if answer.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	err = s.pages.render(w, "message", answer.status, struct {
		frame

		Heading, Text string
	}{frame{Title: answer.heading, Who: who, Path: ""}, answer.heading, answer.text})
	if err != nil {
		s.Logger.ErrorContext(r.Context(), "page", "route", r.Pattern, "error", err.Error())
		http.Error(w, answer.heading, answer.status)
	}
}

func answerTo(err error) problem {
	if told, is := errors.AsType[problem](err); is {
		return told
	}
	switch {
	case errors.Is(err, errSignIn):
		return problem{http.StatusUnauthorized, "You are signed out", "Nothing was done. Please sign in and do it again."}
	case errors.Is(err, book.ErrNoSuch), errors.Is(err, orderstory.ErrNoOrder), errors.Is(err, stockroom.ErrNoArticle),
		errors.Is(err, deadletter.ErrNoLetter), errors.Is(err, deadletter.ErrNoOrder):
		return problem{http.StatusNotFound, "There is nothing here", "It isn’t there, or its address lost a letter on the way."}
	case errors.Is(err, deadletter.ErrInvalid), errors.Is(err, stockroom.ErrInvalid):
		return problem{http.StatusUnprocessableEntity, "This can’t be meant", "Something is missing, or isn’t what it should be. Nothing was done."}
	default:
		return problem{http.StatusServiceUnavailable, "Not at the moment", "The database or something else doesn’t answer. Please try again shortly."}
	}
}
