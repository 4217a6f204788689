package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Written after AWS's description of Signature Version 4 and not by the SDK's
// signer, which would agree with itself about anything.

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	// skew is how far a request's time may be off.
	skew = 5 * time.Minute
)

// signed is what a signature is of.
type signed struct {
	method, path, query, payload string
	headers                      []string // lower-case names, sorted
	values                       map[string]string
	time, scope, signature       string
}

// CheckURL says what is wrong with a URL that is signed in its query, as of the
// given time, for a service.
func (a *Account) CheckURL(signedURL *url.URL, service string, now time.Time) error {
	query := signedURL.Query()
	s := signed{
		method: http.MethodGet, path: signedURL.EscapedPath(), payload: hash(""),
		headers: strings.Split(query.Get("X-Amz-SignedHeaders"), ";"), values: map[string]string{"host": signedURL.Host},
		time: query.Get("X-Amz-Date"), signature: query.Get("X-Amz-Signature"),
	}
	if got := query.Get("X-Amz-Security-Token"); got != a.Session {
		return errors.New("the session isn't the role's")
	}
	var id string
	id, s.scope, _ = strings.Cut(query.Get("X-Amz-Credential"), "/")
	seconds, err := strconv.Atoi(query.Get("X-Amz-Expires"))
	at, timeErr := time.Parse(timeFormat, s.time)
	if err != nil || timeErr != nil || now.Before(at.Add(-skew)) || now.After(at.Add(time.Duration(seconds)*time.Second)) {
		return errors.New("it has expired, or says no time")
	}
	query.Del("X-Amz-Signature")
	s.query = strings.ReplaceAll(query.Encode(), "+", "%20")
	return a.check(s, id, service)
}

// CheckRequest says what is wrong with a request that is signed in its headers.
func (a *Account) CheckRequest(r *http.Request, service string, now time.Time) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if r.Header.Get("X-Amz-Security-Token") != a.Session {
		return errors.New("the session isn't the role's")
	}
	given := map[string]string{}
	rest, found := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		given[name] = value
	}
	s := signed{
		method: r.Method, path: r.URL.EscapedPath(), query: strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"), payload: hash(string(body)),
		headers: strings.Split(given["SignedHeaders"], ";"), values: map[string]string{},
		time: r.Header.Get("X-Amz-Date"), signature: given["Signature"],
	}
	for _, name := range s.headers {
		s.values[name] = strings.Join(r.Header.Values(name), ",")
	}
	s.values["host"], s.values["content-length"] = r.Host, strconv.FormatInt(r.ContentLength, 10)
	at, err := time.Parse(timeFormat, s.time)
	if !found || err != nil || now.Sub(at).Abs() > skew {
		return errors.New("it isn't signed, or at another time")
	}
	var id string
	id, s.scope, _ = strings.Cut(given["Credential"], "/")
	return a.check(s, id, service)
}

func (a *Account) check(s signed, id, service string) error {
	if want := s.time[:len("20060102")] + "/" + Region + "/" + service + "/aws4_request"; s.scope != want {
		return fmt.Errorf("it is for %s, want %s", s.scope, want)
	}
	if id != a.keys.ID || !slices.Contains(s.headers, "host") {
		return errors.New("it is signed by another, or not for this host")
	}
	if want := s.sign(a.keys.Secret); !hmac.Equal([]byte(s.signature), []byte(want)) {
		return errors.New("the signature is wrong")
	}
	return nil
}

func (s signed) sign(secret string) string {
	var headers strings.Builder
	for _, name := range s.headers {
		fmt.Fprintf(&headers, "%s:%s\n", name, strings.TrimSpace(s.values[name]))
	}
	path := s.path
	if path == "" {
		path = "/"
	}
	request := strings.Join([]string{s.method, path, s.query, headers.String(), strings.Join(s.headers, ";"), s.payload}, "\n")
	text := strings.Join([]string{algorithm, s.time, s.scope, hash(request)}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(s.scope, "/") {
		key = authenticate(key, part)
	}
	return hex.EncodeToString(authenticate(key, text))
}

func authenticate(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
