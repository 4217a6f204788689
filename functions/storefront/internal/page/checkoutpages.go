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
	fieldProblems

	Priced pricedBasket
	Form   map[string]string
	Cards  []card
	// Key makes a form that is sent twice one order.
	Key string
	// Changed says that what the form was made of isn't what it would buy now.
	Changed bool
	// Earlier is the address of the order that this form has placed before.
	Earlier string
}

// formProblem says what is wrong with one field of the form, in its customer's
// language.
type formProblem struct {
	Field, Text string
}

// fieldProblems are those of a form, in the order of its fields.
type fieldProblems []formProblem

// Problems lists them.
func (p fieldProblems) Problems() []formProblem { return p }

// Problem finds what is wrong with a field, or "".
func (p fieldProblems) Problem(field string) string {
	for _, one := range p {
		if one.Field == field {
			return one.Text
		}
	}
	return ""
}

func (p *fieldProblems) add(field, text string) {
	*p = append(*p, formProblem{Field: field, Text: text})
}

// card is a payment method of the sandbox.
type card struct {
	Method, Name, Digits string
	Effect               phrase
}

func cards() []card {
	return []card{
		{"pm_card_visa", "Visa", "4242", say("The payment goes through.")},
		{"pm_card_visa_chargeDeclined", "Visa", "0002", say("The bank declines; the order is cancelled.")},
		{"pm_card_visa_chargeDeclinedInsufficientFunds", "Visa", "9995", say("Not enough money on it; the order is cancelled.")},
	}
}

// field is one of the form's, and where it goes in a request.
type field struct {
	name    string
	label   phrase
	pointer string
}

func fields() []field {
	return []field{
		{"name", say("Name"), "/customer/name"},
		{"email", say("E-mail"), "/customer/email"},
		{"line1", say("Street and number"), "/shipping_address/line1"},
		{"line2", say("Apartment, floor"), "/shipping_address/line2"},
		{"postal_code", say("Postal code"), "/shipping_address/postal_code"},
		{"city", say("Town"), "/shipping_address/city"},
		{"country", say("Country"), "/shipping_address/country"},
		{"payment_method", say("Card"), "/payment_method"},
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
	title := say("Checkout")
	if len(page.fieldProblems) > 0 || page.Changed {
		title = say("Please check your order")
	}
	page.frame, page.Cards = s.frame(r, title), cards()
	page.Private = true
	return s.show(w, r, "checkout", status, page)
}

func (s *site) placeOrder(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
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
	placed, err := s.Desk.Place(r.Context(), s.request(r, form, priced), checkout.NewKey("form", key.String()))
	var invalid *checkout.InvalidError
	switch {
	case errors.As(err, &invalid):
		page := checkoutPage{Priced: priced, Form: form, fieldProblems: problems(s.tongueOf(r), invalid), Key: key.String()}
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

func (s *site) request(r *http.Request, form map[string]string, priced pricedBasket) checkout.Request {
	return checkout.Request{
		Customer: checkout.Customer{Name: form["name"], Email: form["email"]},
		ShippingAddress: checkout.Address{
			Line1: form["line1"], Line2: form["line2"], City: form["city"],
			PostalCode: form["postal_code"], Country: form["country"],
		},
		Lines:         priced.request(),
		PaymentMethod: form["payment_method"],
		ExpectedTotal: &priced.Total,
		Language:      s.tongueOf(r).Code(),
	}
}

// problems puts what is wrong with a request beside the fields of the form.
func problems(in *tongue, invalid *checkout.InvalidError) (found fieldProblems) {
	for _, f := range fields() {
		if detail := invalid.At(f.pointer); detail != "" {
			found.add(f.name, in.say(f.label)+" "+in.say(detail)+".")
		}
	}
	if len(found) == 0 {
		found.add("basket", in.say("Something in the basket can’t be ordered any more."))
	}
	return found
}
