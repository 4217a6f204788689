package signin

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/securecookie"
)

const (
	// sessionFor is how long somebody stays signed in: a working day. Whoever loses a
	// role keeps it for so long at most, as nothing is kept of sessions but the cookie.
	sessionFor = 8 * time.Hour
	// roundTripFor is how long somebody may take at the provider.
	roundTripFor = 10 * time.Minute
	// minKey is the shortest key, in characters, that can't be found by trying.
	minKey = 32
)

// Session is who somebody is, until when.
type Session struct {
	// Name is what the audit trail calls them, Subject who they are to whoever let
	// them in.
	Name    string    `json:"name"`
	Subject string    `json:"subject"`
	Role    Role      `json:"role"`
	Until   time.Time `json:"until"`
	// Token is in every form of theirs, so that no other site can send one.
	Token string `json:"token"`
}

// Sent tells whether a form carries the session's token. The time it takes tells
// nothing of the token.
func (s Session) Sent(token string) bool {
	return s.Token != "" && subtle.ConstantTimeCompare([]byte(s.Token), []byte(token)) == 1
}

// Cookies keeps what must come back as it went, in cookies that are encrypted and
// signed. Any replica that has the key reads those of the others.
type Cookies struct {
	codecs []securecookie.Codec
	secure bool
	now    func() time.Time
}

// NewCookies reads the keys, with a space between: the first one signs, and what any
// has signed is believed. Secure says that people come by https.
func NewCookies(keys string, secure bool, now func() time.Time) (*Cookies, error) {
	cookies := &Cookies{secure: secure, now: now}
	for key := range strings.FieldsSeq(keys) {
		codec, err := codec(key)
		if err != nil {
			return nil, err
		}
		cookies.codecs = append(cookies.codecs, codec)
	}
	if len(cookies.codecs) == 0 {
		return nil, errors.New("BACKOFFICE_SESSION_KEY is not set: without it nobody stays signed in")
	}
	return cookies, nil
}

func codec(key string) (securecookie.Codec, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("BACKOFFICE_SESSION_KEY has fewer than %d characters", minKey)
	}
	derived, err := hkdf.Key(sha256.New, []byte(key), nil, "orderflow back office sessions", 2*sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive session keys: %w", err)
	}
	made := securecookie.New(derived[:sha256.Size], derived[sha256.Size:])
	made.SetSerializer(securecookie.JSONEncoder{})
	made.MaxAge(int(sessionFor.Seconds()))
	return made, nil
}

// The cookies, by what they are for.
const (
	sessionCookie   = "backoffice"
	roundTripCookie = "backoffice-round-trip"
	toldCookie      = "backoffice-told"
)

// name has browsers refuse the cookie from any other host, and over plain http.
func (c *Cookies) name(cookie string) string {
	if c.secure {
		return "__Host-" + cookie
	}
	return cookie
}

func (c *Cookies) set(w http.ResponseWriter, cookie string, value any, lasts time.Duration) error {
	text, err := securecookie.EncodeMulti(c.name(cookie), value, c.codecs...)
	if err != nil {
		return fmt.Errorf("write cookie: %w", err)
	}
	http.SetCookie(w, c.cookie(cookie, text, int(lasts.Seconds())))
	return nil
}

// cookie is Lax and not Strict: who follows a link out of a mail, or comes back from
// the provider, is still signed in.
func (c *Cookies) cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // not Secure on a laptop, where there is no https
		Name: c.name(name), Value: value, Path: "/", MaxAge: seconds, Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func (c *Cookies) get(r *http.Request, cookie string, value any) bool {
	found, err := r.Cookie(c.name(cookie))
	return err == nil && securecookie.DecodeMulti(c.name(cookie), found.Value, value, c.codecs...) == nil
}

func (c *Cookies) drop(w http.ResponseWriter, cookie string) {
	http.SetCookie(w, c.cookie(cookie, "", -1))
}

// Begin signs somebody in. The session is a new one, whatever cookie they came with.
func (c *Cookies) Begin(w http.ResponseWriter, name, subject string, role Role) (Session, error) {
	session := Session{Name: name, Subject: subject, Role: role, Until: c.now().Add(sessionFor), Token: rand.Text()}
	return session, c.set(w, sessionCookie, session, sessionFor)
}

// Session is who sent a request; with the role Nobody who isn't signed in.
func (c *Cookies) Session(r *http.Request) Session {
	var session Session
	if !c.get(r, sessionCookie, &session) || !c.now().Before(session.Until) || !session.Role.May(Viewer) {
		return Session{}
	}
	return session
}

// End signs somebody out.
func (c *Cookies) End(w http.ResponseWriter) { c.drop(w, sessionCookie) }

// Tell keeps a sentence for the next page that somebody sees.
func (c *Cookies) Tell(w http.ResponseWriter, text string) error {
	return c.set(w, toldCookie, text, time.Minute)
}

// Told is that sentence, once.
func (c *Cookies) Told(w http.ResponseWriter, r *http.Request) string {
	var text string
	if !c.get(r, toldCookie, &text) {
		return ""
	}
	c.drop(w, toldCookie)
	return text
}
