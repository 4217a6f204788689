package page

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
)

// orderPage is an order with its story in words.
type orderPage struct {
	frame

	Order     order.View
	Token     string
	Story     story
	Steps     []step
	Recipient order.Recipient
	// Known says that we (still) know where it goes.
	Known bool
	// Refused says that a cancellation came too late.
	Refused bool
}

// story is what the order's state means for the customer.
type story struct {
	Heading, Text, Money phrase
}

// step is one station on the order's way.
type step struct {
	Title, Text phrase
	At          time.Time
	// State is done, current, next or stopped.
	State string
}

// Done tells whether it has happened.
func (s step) Done() bool { return !s.At.IsZero() }

func (s *site) order(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	id, err := s.Book.Authorise(r.PathValue("id"), token)
	if err != nil {
		return s.noSuchOrder(w, r)
	}
	return s.renderOrder(w, r, id, token, false)
}

func (s *site) renderOrder(w http.ResponseWriter, r *http.Request, id uuid.UUID, token string, refused bool) error {
	page, err := s.read(r.Context(), id, token)
	if errors.Is(err, order.ErrNotFound) {
		return s.noSuchOrder(w, r)
	}
	if err != nil {
		return err
	}
	page.frame = s.frame(r, say("Order %s", page.Order.Number))
	page.Story, page.Steps, page.Refused = tell(page.Order), steps(page.Order), refused
	page.Private, page.Back = true, s.orderPage(id)
	status := http.StatusOK
	if refused {
		status = http.StatusConflict
	}
	return s.show(w, r, "order", status, page)
}

// read reads an order and whom it is for, as its page and its receipt show it. It
// returns order.ErrNotFound.
func (s *site) read(ctx context.Context, id uuid.UUID, token string) (orderPage, error) {
	view, err := s.Book.Find(ctx, id)
	if err != nil {
		return orderPage{}, err
	}
	recipient, known, err := s.Book.Recipient(ctx, id)
	return orderPage{Order: view, Token: token, Recipient: recipient, Known: known}, err
}

// receipt is an order for the printer.
func (s *site) receipt(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("token")
	id, err := s.Book.Authorise(r.PathValue("id"), token)
	if err != nil {
		return s.noSuchOrder(w, r)
	}
	page, err := s.read(r.Context(), id, token)
	if errors.Is(err, order.ErrNotFound) {
		return s.noSuchOrder(w, r)
	}
	if err != nil {
		return err
	}
	page.frame = s.frame(r, say("Receipt for order %s", page.Order.Number))
	page.Private = true
	return s.show(w, r, "receipt", http.StatusOK, struct {
		orderPage

		Paid phrase
	}{page, paid(page.Order)})
}

// noSuchOrder says the same for a wrong id as for a wrong token.
func (s *site) noSuchOrder(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, "message", http.StatusNotFound, struct {
		frame

		Message notice
	}{s.frame(r, say("Order not found")), notice{
		Heading: say("We can’t find this order"),
		Text:    say("The link may be incomplete. It is in the mail that we sent you when you ordered: open it from there, whole."),
		Find:    true,
	}})
}

func (s *site) cancelOrder(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	token := r.PostForm.Get("token")
	id, err := s.Book.Authorise(r.PathValue("id"), token)
	if err != nil {
		return s.noSuchOrder(w, r)
	}
	err = s.Desk.Cancel(r.Context(), id)
	switch {
	case errors.Is(err, checkout.ErrTooLate):
		return s.renderOrder(w, r, id, token, true)
	case err != nil:
		return err
	}
	http.Redirect(w, r, s.orderPage(id), http.StatusSeeOther) //nolint:gosec // our own path, made of a UUID and a token of ours
	return nil
}

// Final tells the page whether to stay tuned.
func (p orderPage) Final() bool { return p.Order.Status.Final() }

// Cancelled tells whether the order has been cancelled.
func (p orderPage) Cancelled() bool { return p.Order.Status == events.StatusCancelled }
