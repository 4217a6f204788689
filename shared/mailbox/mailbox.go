// Package mailbox receives mail the way SendGrid does and keeps it where people
// and tests can read it. Nothing leaves the machine.
//
//	POST   /v3/mail/send       as SendGrid: 202 with X-Message-Id, and its errors
//	GET    /api/messages       what came, newest first: ?to= &order= &before= &limit=
//	DELETE /api/messages       empties it
//	GET    /                   a page to read the mail
//	GET    /healthz
//	GET, PUT, DELETE /faults   see package fault; off unless asked for
//	GET    /api/events         how many events the webhook is still to be told
//
// One message is kept for each personalization, which is one mail to its
// recipients. Mail is on disk before it is accepted. Attachments are counted,
// not kept; templates and substitutions are not rendered; mail that is
// scheduled arrives at once.
//
// With a webhook, what becomes of a mail is told as by SendGrid's signed Event
// Webhook: it is processed and delivered, but for some addresses: see fateOf.
package mailbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/orderflow-project/orderflow/shared/fault"
)

// ArgOrder is the custom argument that tells which order a mail is about.
const ArgOrder = "order_id"

// Options say how the mailbox runs. Dir and Key are needed.
type Options struct {
	// Dir is where mail is kept.
	Dir string
	// Key is the API key that senders present.
	Key string
	// Clock is time.Now if nil.
	Clock func() time.Time
	// Logger hears of trouble with the store, and of nothing else: what is in
	// the mail is nobody's business.
	Logger *slog.Logger
	// Faults lets callers provoke faults.
	Faults bool
	// Webhook is told what becomes of mail; nobody is if its URL is empty.
	Webhook Webhook
}

// Server is the mailbox as an http.Handler.
type Server struct {
	store   *store
	keyHash [sha256.Size]byte
	now     func() time.Time
	logger  *slog.Logger
	pages   pages
	handler http.Handler
	// teller is nil where there is no webhook.
	teller *teller
	stop   context.CancelFunc
	ended  sync.WaitGroup
}

// New opens the mailbox.
func New(o Options) (*Server, error) {
	if o.Dir == "" || o.Key == "" {
		return nil, errors.New("mailbox: needs a folder and a key")
	}
	if o.Webhook.URL != "" && o.Webhook.Key == nil {
		return nil, errors.New("mailbox: the webhook needs a key to sign by")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	parsed, err := parsePages()
	if err != nil {
		return nil, err
	}
	kept, err := openStore(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{store: kept, keyHash: sha256.Sum256([]byte(o.Key)), now: o.Clock, logger: o.Logger, pages: parsed}
	s.handler = s.routes(o.Faults)
	s.tell(o.Webhook)
	return s, nil
}

// tell starts to tell the webhook, also what was left untold the last time.
func (s *Server) tell(hook Webhook) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if hook.URL == "" {
		return
	}
	s.teller = newTeller(hook, s.store, s.now, s.logger)
	s.teller.wake()
	s.ended.Go(func() { s.teller.run(ctx) })
}

func (s *Server) routes(faults bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/messages", s.listMessages)
	mux.HandleFunc("GET /api/messages/{id}", s.getMessage)
	mux.HandleFunc("DELETE /api/messages", s.deleteMessages)
	mux.HandleFunc("GET /api/events", s.countEvents)
	mux.HandleFunc("GET /{$}", s.listPage)
	mux.HandleFunc("GET /messages/{id}", s.messagePage)
	mux.HandleFunc("GET /messages/{id}/html", s.messageHTML)
	mux.HandleFunc("POST /clear", s.clearPage)
	mux.HandleFunc("GET /style.css", s.style)
	mux.HandleFunc("GET /healthz", s.healthz)
	send := s.authenticated(http.HandlerFunc(s.send))
	if faults {
		injector := fault.New(s.refuse)
		mux.Handle("/faults", s.authenticated(injector))
		send = injector.Wrap(send)
	}
	mux.Handle("POST /v3/mail/send", send)
	// The mailbox asks nobody who they are, so a page from elsewhere must not
	// be able to empty it through somebody's browser.
	return http.NewCrossOriginProtection().Handler(mux)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// Close finishes what was accepted and closes the store.
func (s *Server) Close() error {
	s.stop()
	s.ended.Wait()
	return s.store.file.Close()
}

// authenticated compares hashes, so that the time it takes says nothing about
// the key, not even its length.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		presented := sha256.Sum256([]byte(token))
		if !ok || subtle.ConstantTimeCompare(presented[:], s.keyHash[:]) != 1 {
			s.refuse(w, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if _, err := s.store.list(filter{limit: 1}); err != nil {
		s.unavailable(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
