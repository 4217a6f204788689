// Package sandbox is a payment provider that moves no real money: a server with
// its own durable ledger, so that it can be killed, restarted and audited like
// a real one. Payment methods carry Stripe's test names.
//
//	POST /v1/payments                     authorise
//	POST /v1/payments/{order}/capture     keep what is held
//	POST /v1/payments/{order}/release     void or refund
//	POST /v1/payments/{order}/refunds     give back a part, once for each return
//	GET  /v1/payments/{order}             how it stands
//	GET  /v1/payments?after=&limit=       all payments, by order id
//	GET  /v1/ledger?after=&limit=         every movement, in order
//	GET  /healthz
//	GET, PUT, DELETE /faults              see package fault; off unless asked for
//
// An order has one payment. It is captured or voided, never both, and refunded
// only after capture, by release or in parts, and never by more than was captured. What was answered is on disk.
//
// A release that comes before its order was ever authorised closes the order:
// an authorisation that was still under way is declined when it arrives.
package sandbox

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/orderflow-project/orderflow/shared/fault"
)

// weekHold is how long real card networks hold money, more or less.
const weekHold = 7 * 24 * time.Hour

// Options say how the provider runs. Dir and Key are needed.
type Options struct {
	// Dir is where the ledger is kept.
	Dir string
	// Key is what callers present as their bearer token.
	Key string
	// Clock is time.Now if nil.
	Clock func() time.Time
	// Hold is how long an authorisation lasts; 7 days if zero.
	Hold time.Duration
	// Logger hears of trouble with the ledger, and of nothing else.
	Logger *slog.Logger
	// Faults lets callers provoke faults.
	Faults bool
}

// Server is the provider as an http.Handler.
type Server struct {
	ledger  *ledger
	keyHash [sha256.Size]byte
	cards   map[string]card
	hold    time.Duration
	logger  *slog.Logger
	handler http.Handler
}

// New opens the ledger.
func New(o Options) (*Server, error) {
	if o.Dir == "" || o.Key == "" {
		return nil, errors.New("payment provider: needs a folder and a key")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Hold == 0 {
		o.Hold = weekHold
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	book, err := openLedger(o.Dir, o.Clock)
	if err != nil {
		return nil, err
	}
	s := &Server{ledger: book, keyHash: sha256.Sum256([]byte(o.Key)), cards: cards(), hold: o.Hold, logger: o.Logger}
	s.handler = s.routes(o.Faults)
	return s, nil
}

func (s *Server) routes(faults bool) http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("POST /v1/payments", s.authorise)
	api.HandleFunc("POST /v1/payments/{order}/capture", s.capture)
	api.HandleFunc("POST /v1/payments/{order}/release", s.release)
	api.HandleFunc("POST /v1/payments/{order}/refunds", s.refund)
	api.HandleFunc("GET /v1/payments/{order}", s.find)
	api.HandleFunc("GET /v1/payments", s.listPayments)
	api.HandleFunc("GET /v1/ledger", s.listMovements)

	root := http.NewServeMux()
	root.HandleFunc("GET /healthz", s.healthz)
	if !faults {
		root.Handle("/", s.authenticated(api))
		return root
	}
	injector := fault.New(refuse)
	root.Handle("/faults", s.authenticated(injector))
	root.Handle("/", injector.Wrap(s.authenticated(api)))
	return root
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// Close finishes what was accepted and closes the ledger.
func (s *Server) Close() error {
	return s.ledger.file.Close()
}

// authenticated compares hashes, so that the time it takes says nothing about
// the key, not even its length.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented := sha256.Sum256([]byte(bearer(r)))
		if subtle.ConstantTimeCompare(presented[:], s.keyHash[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
