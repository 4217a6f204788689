package page

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
	"github.com/orderflow-project/orderflow/shared/orderstory"
)

type todayPage struct {
	frame
	book.Today
}

func (s *site) today(w http.ResponseWriter, r request) error {
	today, err := s.Book.Now(r.Context(), s.Low)
	if err != nil {
		return err
	}
	return s.pages.render(w, "today", http.StatusOK, todayPage{s.frame(w, r, "Today", "/"), today})
}

type ordersPage struct {
	frame
	book.Orders

	Asked    book.Question
	Statuses []events.Status
	Reasons  []events.Reason
	Since    string
	Until    string
	Wrong    string
	NextLink string
}

// dayFormat is how a browser writes a day.
const dayFormat = "2006-01-02"

func (s *site) orders(w http.ResponseWriter, r request) error {
	query := r.URL.Query()
	page := ordersPage{
		frame: s.frame(w, r, "Orders", "/orders"), Statuses: events.Statuses(), Reasons: events.Reasons(),
		Since: query.Get("since"), Until: query.Get("until"),
	}
	page.Asked, page.Wrong = question(query, r.who.Role)
	if page.Wrong != "" {
		return s.pages.render(w, "orders", http.StatusUnprocessableEntity, page)
	}
	var err error
	if page.Orders, err = s.Book.Orders(r.Context(), page.Asked); err != nil {
		return err
	}
	if page.Next != nil {
		query.Set("before", page.Next.String())
		page.NextLink = "/orders?" + query.Encode()
	}
	return s.pages.render(w, "orders", http.StatusOK, page)
}

// question reads what is asked for, and says in a sentence what is wrong with it.
// Customers are looked for by those who may see them.
func question(query url.Values, role signin.Role) (q book.Question, wrong string) {
	get := func(name string) string { return strings.TrimSpace(query.Get(name)) }
	q = book.Question{Number: get("number"), Email: get("email"), Status: get("status"), Reason: get("reason"), SKU: strings.ToUpper(get("sku"))}
	if q.Email != "" && !role.May(signin.Operator) {
		return q, "Looking for a customer needs the role operator."
	}
	var err error
	if text := get("before"); text != "" {
		if q.Before, err = uuid.Parse(text); err != nil {
			return q, "There is no such page."
		}
	}
	if text := get("since"); text != "" {
		if q.Since, err = time.Parse(dayFormat, text); err != nil {
			return q, "The first day isn’t one: please write it like 2026-01-31."
		}
	}
	if text := get("until"); text != "" {
		if q.Until, err = time.Parse(dayFormat, text); err != nil {
			return q, "The last day isn’t one: please write it like 2026-01-31."
		}
		q.Until = q.Until.AddDate(0, 0, 1) // all of that day
	}
	return q, ""
}

type orderPage struct {
	frame
	orderstory.Story

	// Contact is nil for who may not see it, and where it was erased.
	Contact *book.Contact
	Erased  bool
	Acts    []trail.Entry
	Letters []deadletter.Letter
	// Open tells whether the order can be cancelled, Out whether it can be taken back.
	Open, Out bool
	Whys      []events.ReturnReason
}

func (s *site) order(w http.ResponseWriter, r request) error {
	story, err := s.Story(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	id, err := uuid.Parse(story.ID)
	if err != nil {
		return err
	}
	page := orderPage{frame: s.frame(w, r, "Order "+story.Number, "/orders"), Story: story, Whys: events.ReturnReasons()}
	page.Out = story.State.Status == string(events.StatusShipped)
	page.Open = !page.Out && story.State.Status != string(events.StatusCancelled)
	if r.who.Role.May(signin.Operator) {
		if page.Contact, err = s.Book.Contact(r.Context(), id); err != nil {
			return err
		}
		page.Erased = page.Contact == nil
	}
	if page.Acts, err = s.Trail.On(r.Context(), targetOrder(story.ID)); err != nil {
		return err
	}
	if page.Letters, err = s.Letters.Page(r.Context(), openOf(story.ID), 0, book.PageSize); err != nil {
		return err
	}
	return s.pages.render(w, "order", http.StatusOK, page)
}

func targetOrder(id string) string { return "order " + id }

func openOf(order string) deadletter.Filter {
	return deadletter.Filter{Order: order, State: deadletter.StateOpen}
}

// meant is the order that an address names.
func (s *site) meant(r request) (orderstory.Story, uuid.UUID, error) {
	story, err := s.Story(r.Context(), r.PathValue("id"))
	if err != nil {
		return story, uuid.Nil, err
	}
	id, err := uuid.Parse(story.ID)
	return story, id, err
}

func (s *site) cancelOrder(w http.ResponseWriter, r request) error {
	story, id, err := s.meant(r)
	if err != nil {
		return err
	}
	return s.perform(w, r, deed{
		action: "cancel order", target: targetOrder(story.ID), details: map[string]string{"number": story.Number}, needsReason: true,
		heading: "Cancel order " + story.Number + "?", button: "Cancel the order", back: "/orders/" + story.ID,
		says: []string{"The order of " + story.Total.String() + " ends. What is held of its money is let go or given back, its goods are free again, and the customer gets a mail.", "This can’t be taken back."},
		do: func(ctx context.Context) (string, error) {
			return s.Orders.Cancel(ctx, id, orderdesk.Act{By: r.who.Name, Reason: reason(r)})
		},
	})
}

func (s *site) redriveOrder(w http.ResponseWriter, r request) error {
	story, _, err := s.meant(r)
	if err != nil {
		return err
	}
	return s.redrive(w, r, openOf(story.ID), deadletter.Redrive{}, deed{
		target: targetOrder(story.ID), back: "/orders/" + story.ID, heading: "Send what order " + story.Number + " waits for again?",
	})
}
