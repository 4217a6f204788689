package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/signin"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
)

type signInPage struct {
	frame

	// Password and Provider say how one can sign in; neither where nobody can.
	Password, Provider bool
	Next, Name, Wrong  string
}

func (s *site) signIn(w http.ResponseWriter, r request) error {
	return s.showSignIn(w, http.StatusOK, signin.Next(r.URL.Query().Get("next")), "", "")
}

func (s *site) showSignIn(w http.ResponseWriter, status int, next, name, wrong string) error {
	return s.pages.render(w, "sign-in", status, signInPage{
		frame: frame{Title: "Sign in"}, Password: s.Password != nil, Provider: s.Provider != nil, Next: next, Name: name, Wrong: wrong,
	})
}

func (s *site) withPassword(w http.ResponseWriter, r request) error {
	next, name := signin.Next(r.PostForm.Get("next")), r.PostForm.Get("name")
	if s.Password == nil {
		return s.showSignIn(w, http.StatusForbidden, next, name, "Nobody signs in by a password here.")
	}
	subject, err := s.Password.Check(name, r.PostForm.Get("password"))
	switch {
	case errors.Is(err, signin.ErrTooMany):
		w.Header().Set("Retry-After", "10")
		return s.showSignIn(w, http.StatusTooManyRequests, next, name, "That were too many wrong passwords. Please wait for ten seconds.")
	case err != nil:
		s.Logger.WarnContext(r.Context(), "wrong password", "origin", trail.Origin(r.Request, s.Proxies))
		return s.showSignIn(w, http.StatusUnauthorized, next, name, "This name or this password isn’t right.")
	}
	return s.begin(w, r, signin.Session{Name: name, Subject: subject, Role: signin.Admin}, next)
}

// begin signs somebody in, and puts that on record.
func (s *site) begin(w http.ResponseWriter, r request, who signin.Session, next string) error {
	act := trail.Act{Who: who, Action: "sign in", Origin: trail.Origin(r.Request, s.Proxies)}
	_, err := s.Trail.Do(r.Context(), act, func(context.Context) (string, error) {
		_, err := s.Cookies.Begin(w, who.Name, who.Subject, who.Role)
		return "", err
	})
	if err != nil {
		s.Cookies.End(w)
		return err
	}
	http.Redirect(w, r.Request, next, http.StatusSeeOther)
	return nil
}

func (s *site) toProvider(w http.ResponseWriter, r request) error {
	if s.Provider == nil {
		return book.ErrNoSuch
	}
	address, err := s.Provider.Leave(r.Context(), w, s.Cookies, signin.Next(r.URL.Query().Get("next")))
	if err != nil {
		return s.notBack(r, err)
	}
	http.Redirect(w, r.Request, address, http.StatusSeeOther)
	return nil
}

func (s *site) fromProvider(w http.ResponseWriter, r request) error {
	if s.Provider == nil {
		return book.ErrNoSuch
	}
	who, next, err := s.Provider.Return(r.Context(), w, r.Request, s.Cookies)
	if err != nil {
		return s.notBack(r, err)
	}
	return s.begin(w, r, who, next)
}

// notBack says why a round trip to the provider came to nothing.
func (s *site) notBack(r request, err error) error {
	s.Logger.WarnContext(r.Context(), "not signed in by the provider", "origin", trail.Origin(r.Request, s.Proxies), "error", err.Error())
	switch {
	case errors.Is(err, signin.ErrNoRole):
		return problem{http.StatusForbidden, "You have no role here", "The sign-in service knows you, but nobody has given you a role in the back office. Ask who looks after it."}
	case errors.Is(err, signin.ErrRefused):
		return problem{http.StatusForbidden, "That didn’t work", "The sign-in took too long, or was begun in another window. Please sign in again."}
	default:
		return problem{http.StatusServiceUnavailable, "The sign-in service doesn’t answer", "Please try again in a minute."}
	}
}

func (s *site) signOut(w http.ResponseWriter, r request) error {
	s.Cookies.End(w)
	http.Redirect(w, r.Request, "/sign-in?"+url.Values{"next": {"/"}}.Encode(), http.StatusSeeOther)
	return nil
}
