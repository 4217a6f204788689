package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/orderflow-project/orderflow/functions/storefront/internal/problem"
)

const (
	// maxBody is more than 50 lines with every field at its longest need.
	maxBody = 64 << 10
	// maxDrained is how much of a body that is too large is read and thrown
	// away, so that its sender gets to see the answer.
	maxDrained = 16 << 20
)

// readBody reads the JSON of a request, bounded in size and time.
func (a *API) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if err := readable(w, r); err != nil {
		return nil, err
	}
	// It is only a courtesy; a server without deadlines has its own bounds.
	_ = http.NewResponseController(w).SetReadDeadline(a.Now().Add(a.BodyTimeout))
	if r.ContentLength > maxBody {
		return nil, tooLarge(r)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close") // the rest of the body may still come
		return nil, problem.TooSlow()
	case err != nil:
		return nil, problem.Malformed("The body ends early.")
	case len(body) > maxBody:
		return nil, tooLarge(r)
	}
	return body, nil
}

// readable refuses what says of itself that it isn't plain JSON in UTF-8. If it
// is nonetheless, its sender and we don't mean the same by it.
func readable(w http.ResponseWriter, r *http.Request) error {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return problem.NotJSON()
	}
	if charset, given := parameters["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return unsupported("JSON is in UTF-8: the charset of the Content-Type must be utf-8, or left out.")
	}
	for _, encoding := range r.Header.Values("Content-Encoding") {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			w.Header().Set("Accept-Encoding", "identity")
			return unsupported("The body must not be compressed: there must be no Content-Encoding.")
		}
	}
	return nil
}

func unsupported(detail string) problem.Problem {
	refusal := problem.NotJSON()
	refusal.Title, refusal.Detail = "The request isn’t plain JSON", detail
	return refusal
}

func tooLarge(r *http.Request) error {
	if r.Header.Get("Expect") == "" { // else it waits for our word before it sends
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
	return problem.TooLarge(maxBody)
}
