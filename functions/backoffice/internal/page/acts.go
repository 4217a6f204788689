package page

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
)

// deed is what somebody wants done.
type deed struct {
	// action and target are what the trail calls it.
	action, target string
	details        map[string]string
	// heading asks whether it is meant, and says tells what it would come to.
	heading, button string
	says            []string
	// back is the page to which it leads.
	back string
	// extra are hidden fields beside those that were sent.
	extra map[string]string
	// needsReason says that it isn't done without one.
	needsReason bool
	do          func(ctx context.Context) (string, error)
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

type confirmPage struct {
	frame

	Heading, Button, Action, Back string
	Says                          []string
	Fields                        []field
}

// maxReason bounds a reason, in characters.
const maxReason = 500

// reason is why somebody does something, as the form says.
func reason(r request) string { return strings.TrimSpace(r.PostForm.Get("reason")) }

// perform asks whether a deed is meant; once it is, it is done and put on record, and
// leads back to its page, which says what became of it.
func (s *site) perform(w http.ResponseWriter, r request, d deed) error {
	why := reason(r)
	switch {
	case d.needsReason && why == "":
		return problem{http.StatusUnprocessableEntity, "This needs a reason", "Nothing was done. Please go back and say why: it goes into the audit trail."}
	case utf8.RuneCountInString(why) > maxReason:
		return problem{http.StatusUnprocessableEntity, "This reason is too long", "Nothing was done. It may have 500 characters."}
	}
	if r.PostForm.Get("confirm") != "yes" {
		return s.ask(w, r, d)
	}
	note, err := s.Trail.Do(r.Context(), trail.Act{
		Who: r.who, Action: d.action, Target: d.target, Reason: why, Details: d.details, Origin: trail.Origin(r.Request, s.Proxies),
	}, d.do)
	if why, is := errors.AsType[trail.Refused](err); is {
		note = "Nothing was done. " + why.Why
	} else if err != nil {
		return err
	}
	if err := s.Cookies.Tell(w, note); err != nil {
		return err
	}
	http.Redirect(w, r.Request, d.back, http.StatusSeeOther)
	return nil
}

// ask shows the question, with a form that carries on all that was sent.
func (s *site) ask(w http.ResponseWriter, r request, d deed) error {
	page := confirmPage{
		frame: s.frame(w, r, d.heading, ""), Heading: d.heading, Button: d.button, Says: d.says, Action: r.URL.Path, Back: d.back,
	}
	values := map[string]string{}
	for name, sent := range r.PostForm {
		values[name] = sent[0]
	}
	maps.Copy(values, d.extra)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != "token" && name != "confirm" {
			page.Fields = append(page.Fields, field{name, values[name]})
		}
	}
	if why := reason(r); why != "" {
		page.Says = append(slices.Clone(page.Says), fmt.Sprintf("Your reason, for the record: %s", why))
	}
	return s.pages.render(w, "confirm", http.StatusOK, page)
}
