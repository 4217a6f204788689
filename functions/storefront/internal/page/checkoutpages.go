package page

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// checkoutPage is the form with what the customer has filled in so far.
type checkoutPage struct {
	frame

	Priced    pricedBasket
	Form      map[string]string
	Problems  []formProblem
	Countries []checkout.Country
	Cards     []card
	// Key makes a form that is sent twice one order.
	Key string
	// Changed says that what the form was made of isn't what it would buy now.
	Changed bool
	// Earlier is the address of the order that this form has placed before.
	Earlier string
}

// Problem finds what is wrong with a field, or "".
func (p checkoutPage) Problem(field string) string {
	for _, one := range p.Problems {
		if one.Field == field {
			return one.Text
		}
	}
	return ""
}

// formProblem says what is wrong with one field of the form.
type formProblem struct {
	Field, Label, Text string
}

// card is a payment method of the sandbox.
type card struct {
	Method, Name, Digits, Effect string
}

func cards() []card {
	return []card{
		{"pm_card_visa", "Visa", "4242", "The payment goes through."},
		{"pm_card_visa_chargeDeclined", "Visa", "0002", "The bank declines; the order is cancelled."},
		{"pm_card_visa_chargeDeclinedInsufficientFunds", "Visa", "9995", "Not enough money on it; the order is cancelled."},
	}
}

// field is one of the form's, and where it goes in a request.
type field struct {
	name, label, pointer string
}

func fields() []field {
	return []field{
		{"name", "Name", "/customer/name"},
		{"email", "E-mail", "/customer/email"},
		{"line1", "Street and number", "/shipping_address/line1"},
		{"line2", "Apartment, floor", "/shipping_address/line2"},
		{"postal_code", "Postal code", "/shipping_address/postal_code"},
		{"city", "Town", "/shipping_address/city"},
		{"country", "Country", "/shipping_address/country"},
		{"payment_method", "Card", "/payment_method"},
	}
}

func (s *site) checkout(w http.ResponseWriter, r *http.Request) error {
	priced, err := s.price(r.Context(), readBasket(r))
	if err != nil {
		return err
	}
	if len(priced.Lines) == 0 {
		http.Redirect(w, r, "/basket", http.StatusSeeOther)
		return nil
	}
	form := map[string]string{"payment_method": cards()[0].Method}
	return s.renderCheckout(w, r, http.StatusOK, checkoutPage{Priced: priced, Form: form, Key: s.formKey(w, r)})
}

// formPath is where the form is, and nobody else needs its cookie.
const formPath = "/checkout"

// formKey is one for all forms of a basket until it is ordered: a customer who
// doesn't know what became of one, and fills in another, doesn't order twice.
func (s *site) formKey(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(formCookie); err == nil && uuid.Validate(cookie.Value) == nil {
		return cookie.Value
	}
	return s.newFormKey(w)
}

func (s *site) newFormKey(w http.ResponseWriter) string {
	key := uuid.NewString()
	keep(w, s.Secure, formCookie, formPath, key)
	return key
}

func (s *site) renderCheckout(w http.ResponseWriter, r *http.Request, status int, page checkoutPage) error {
	title := "Checkout"
	if len(page.Problems) > 0 || page.Changed {
		title = "Please check your order"
	}
	page.frame, page.Countries, page.Cards = s.frame(r, title), checkout.Countries(), cards()
	page.Private = true
	return s.pages.render(w, "checkout", status, page)
}

func (s *site) placeOrder(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(w, r); err != nil {
		return err
	}
	form := values(r.PostForm)
	key, err := uuid.Parse(r.PostForm.Get("key"))
	if err != nil {
		return problem.Malformed("The form is incomplete. Go back, reload it and send it again.")
	}
	priced, err := s.price(r.Context(), readBasket(r))
	if err != nil {
		return err
	}
	if len(priced.Lines) == 0 {
		return s.sentBefore(w, r, key)
	}
	if priced.Seal() != r.PostForm.Get("shown") {
		return s.notWhatWasShown(w, r, checkoutPage{Priced: priced, Form: form, Key: key.String(), Changed: true}, key)
	}
	if !s.Limiter.Allow(r) {
		return problem.TooMany()
	}
	placed, err := s.Desk.Place(r.Context(), request(form, priced), checkout.NewKey("form", key.String()))
	var invalid *checkout.InvalidError
	switch {
	case errors.As(err, &invalid):
		page := checkoutPage{Priced: priced, Form: form, Problems: problems(invalid), Key: key.String()}
		return s.renderCheckout(w, r, http.StatusUnprocessableEntity, page)
	case errors.Is(err, checkout.ErrKeyReused):
		return s.changedSince(w, r, checkoutPage{Priced: priced, Form: form}, key)
	case err != nil:
		return err
	}
	Basket(nil).write(w, s.Secure)
	keep(w, s.Secure, formCookie, formPath, "")
	http.Redirect(w, r, s.orderPage(placed.ID), http.StatusSeeOther)
	return nil
}

// sentBefore answers a form that is sent again after its basket has become an
// order.
func (s *site) sentBefore(w http.ResponseWriter, r *http.Request, key uuid.UUID) error {
	placed, found, err := s.Desk.Find(r.Context(), checkout.NewKey("form", key.String()))
	if err != nil {
		return err
	}
	target := "/basket"
	if found {
		target = s.orderPage(placed.ID)
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

// notWhatWasShown asks a customer who has seen another price or another basket,
// unless the form is one that has placed its order.
func (s *site) notWhatWasShown(w http.ResponseWriter, r *http.Request, page checkoutPage, key uuid.UUID) error {
	placed, found, err := s.Desk.Find(r.Context(), checkout.NewKey("form", key.String()))
	if err != nil {
		return err
	}
	if found {
		page.Key, page.Earlier, page.Changed = s.newFormKey(w), s.orderPage(placed.ID), false
	}
	return s.renderCheckout(w, r, http.StatusConflict, page)
}

// changedSince asks a customer who has gone back to a form that placed an
// order, and changed it, whether that is to be another order.
func (s *site) changedSince(w http.ResponseWriter, r *http.Request, page checkoutPage, key uuid.UUID) error {
	placed, _, err := s.Desk.Find(r.Context(), checkout.NewKey("form", key.String()))
	if err != nil {
		return err
	}
	page.Key, page.Earlier = s.newFormKey(w), s.orderPage(placed.ID)
	return s.renderCheckout(w, r, http.StatusConflict, page)
}

func (s *site) orderPage(id uuid.UUID) string {
	return "/orders/" + id.String() + "?token=" + s.Tokens.Derive(id)
}

func values(form url.Values) map[string]string {
	read := map[string]string{}
	for _, f := range fields() {
		read[f.name] = strings.TrimSpace(form.Get(f.name))
	}
	return read
}

func request(form map[string]string, priced pricedBasket) checkout.Request {
	return checkout.Request{
		Customer: checkout.Customer{Name: form["name"], Email: form["email"]},
		ShippingAddress: checkout.Address{
			Line1: form["line1"], Line2: form["line2"], City: form["city"],
			PostalCode: form["postal_code"], Country: form["country"],
		},
		Lines:         priced.request(),
		PaymentMethod: form["payment_method"],
		ExpectedTotal: &priced.Total,
	}
}

// problems puts what is wrong with a request beside the fields of the form.
func problems(invalid *checkout.InvalidError) []formProblem {
	var found []formProblem
	for _, f := range fields() {
		if detail := invalid.At(f.pointer); detail != "" {
			found = append(found, formProblem{Field: f.name, Label: f.label, Text: f.label + " " + detail + "."})
		}
	}
	if len(found) == 0 {
		found = append(found, formProblem{Field: "basket", Label: "Basket", Text: "Something in the basket can’t be ordered any more."})
	}
	return found
}
