package page

import (
	"net/http"
	"strings"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/checkout"
	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

// findPage asks for what names an order, or says that it was asked.
type findPage struct {
	frame
	fieldProblems

	Number, Email string
	// Sent says that whoever knew both has a mail on its way.
	Sent bool
}

func (s *site) findOrder(w http.ResponseWriter, r *http.Request) error {
	return s.showFinder(w, r, http.StatusOK, findPage{Sent: r.URL.Query().Has("sent")})
}

func (s *site) showFinder(w http.ResponseWriter, r *http.Request, status int, page findPage) error {
	page.frame = s.frame(r, say("Find my order"))
	page.Private = true
	return s.show(w, r, "find-order", status, page)
}

// sendLink has the link to an order sent to its customer. Whether there is such an
// order is nothing that is looked at here: the answer is the same, and so is the
// time that it takes.
func (s *site) sendLink(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	in := s.tongueOf(r)
	page := findPage{Number: strings.TrimSpace(r.PostForm.Get("number")), Email: strings.TrimSpace(r.PostForm.Get("email"))}
	number, readable := checkout.ReadNumber(page.Number)
	if !readable {
		page.add("number", in.say("An order number looks like this: %s.", "OF-7K2QD-M41RX"))
	}
	if page.Email == "" {
		page.add("email", in.say("E-mail")+" "+in.say("is required")+".")
	} else if !checkout.IsEmail(page.Email) {
		page.add("email", in.say("E-mail")+" "+in.say("is not an e-mail address")+".")
	}
	if len(page.fieldProblems) > 0 {
		return s.showFinder(w, r, http.StatusUnprocessableEntity, page)
	}
	if !s.Finders.Allow(r) {
		return problem.TooMany()
	}
	if err := s.Book.RequestLink(r.Context(), number, page.Email, in.Code()); err != nil {
		return err
	}
	http.Redirect(w, r, "/find-order?sent", http.StatusSeeOther)
	return nil
}
