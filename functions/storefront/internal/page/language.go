package page

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/orderflow-project/orderflow/shared/locale"
)

// languageCookie holds the language that a customer has chosen.
const languageCookie = "language"

// tongueOf is the language that a request is answered in: the one that its
// customer has chosen, else the best of those that the browser asks for.
func (s *site) tongueOf(r *http.Request) *tongue {
	chosen := ""
	if cookie, err := r.Cookie(languageCookie); err == nil {
		chosen = cookie.Value
	}
	spoken, known := locale.Of(chosen)
	if !known {
		spoken, _ = locale.Match(r.Header.Get("Accept-Language"))
	}
	for _, one := range s.tongues {
		if one.Code() == spoken.Code() {
			return one
		}
	}
	return s.tongues[0]
}

// chooseLanguage keeps the language, and shows again where its customer was.
func (s *site) chooseLanguage(w http.ResponseWriter, r *http.Request) error {
	if err := s.parseForm(w, r); err != nil {
		return err
	}
	if chosen, known := locale.Of(r.PostForm.Get("language")); known {
		keep(w, s.Secure, languageCookie, "/", chosen.Code())
	}
	http.Redirect(w, r, ownPath(r.PostForm.Get("back")), http.StatusSeeOther) //nolint:gosec // ownPath lets nothing through that leads away
	return nil
}

// ownPath is target if it leads to one of our pages, else the first page: nobody
// is to be sent elsewhere by a link that looks like ours. Browsers take a backslash
// for a slash, and skip control characters.
func ownPath(target string) string {
	parsed, err := url.Parse(target)
	if err != nil || parsed.Scheme != "" || parsed.Host != "" || parsed.User != nil || parsed.Opaque != "" ||
		!strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\\\t\r\n") {
		return "/"
	}
	return parsed.RequestURI()
}
