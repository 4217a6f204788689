package api

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/order"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
	"github.com/orderflow-project/orderflow/shared/locale"
)

// links are where to go on from an order. They have its token in them, so that
// they work as they are.
type links struct {
	Self   string `json:"self"`
	Events string `json:"events"`
	Cancel string `json:"cancel"`
	Page   string `json:"page"`
}

func linksOf(id uuid.UUID, token string) links {
	self, query := "/api/orders/"+id.String(), "?token="+token
	return links{
		Self: self + query, Events: self + "/events" + query, Cancel: self + "/cancel" + query,
		Page: "/orders/" + id.String() + query,
	}
}

// accepted is the answer to a placed order. It is the same each time that the
// request is sent with the same key.
type accepted struct {
	ID     uuid.UUID     `json:"id"`
	Number string        `json:"number"`
	Status events.Status `json:"status"`
	Total  events.Money  `json:"total"`
	Token  string        `json:"token"`
	Links  links         `json:"links"`
}

// shown is an order with where to go on from it.
type shown struct {
	order.View

	Links links `json:"links"`
}

func (a *API) place(w http.ResponseWriter, r *http.Request) error {
	if !a.Limiter.Allow(r) {
		return problem.TooMany()
	}
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	request, err := decode(body)
	if err != nil {
		return err
	}
	// Who doesn't say is written to in the shop's own language.
	if spoken, said := locale.Match(r.Header.Get("Accept-Language")); said {
		request.Language = spoken.Code()
	}
	placed, err := a.Desk.Place(r.Context(), request, key)
	if err != nil {
		return err
	}
	a.accept(w, placed)
	return nil
}

func (a *API) accept(w http.ResponseWriter, placed checkout.Placed) {
	token := a.Tokens.Derive(placed.ID)
	w.Header().Set("Location", "/api/orders/"+placed.ID.String())
	if placed.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	writeJSON(w, http.StatusAccepted, accepted{
		ID: placed.ID, Number: placed.Number, Status: events.StatusPlaced, Total: placed.Total,
		Token: token, Links: linksOf(placed.ID, token),
	})
}

// maxKey is the most that an Idempotency-Key may have.
const maxKey = 255

func keyOf(r *http.Request) (checkout.Key, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return checkout.Key{}, nil
	}
	if len(values) > 1 || values[0] == "" || len(values[0]) > maxKey {
		return checkout.Key{}, problem.Malformed("There must be one Idempotency-Key of 1 to 255 characters.")
	}
	return checkout.NewKey("api", values[0]), nil
}

func (a *API) show(w http.ResponseWriter, r *http.Request) error {
	id, err := a.Book.Authorise(r.PathValue("id"), tokenOf(r))
	if err != nil {
		return err
	}
	return a.write(w, r, id, http.StatusOK)
}

func (a *API) write(w http.ResponseWriter, r *http.Request, id uuid.UUID, status int) error {
	view, err := a.Book.Find(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, status, shown{View: view, Links: linksOf(id, a.Tokens.Derive(id))})
	return nil
}

func (a *API) cancel(w http.ResponseWriter, r *http.Request) error {
	id, err := a.Book.Authorise(r.PathValue("id"), tokenOf(r))
	if err != nil {
		return err
	}
	if err := a.Desk.Cancel(r.Context(), id); err != nil {
		return err
	}
	return a.write(w, r, id, http.StatusAccepted)
}

func (a *API) stream(w http.ResponseWriter, r *http.Request) error {
	id, err := a.Book.Authorise(r.PathValue("id"), tokenOf(r))
	if err != nil {
		return err
	}
	link := linksOf(id, a.Tokens.Derive(id))
	return a.Streams.Serve(w, r, id, func(view order.View) any { return shown{View: view, Links: link} })
}
