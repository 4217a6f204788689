package mailbox

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	maxMail       = 30 << 20
	rateLimitWait = time.Second
)

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	var m request
	if !s.readMail(w, r, &m) {
		return
	}
	if problems := check(m, s.now()); len(problems) > 0 {
		refuseMail(w, http.StatusBadRequest, problems...)
		return
	}
	if m.MailSettings.SandboxMode.Enable {
		w.WriteHeader(http.StatusOK) // valid, and meant to go nowhere
		return
	}
	id := rand.Text()
	if err := s.store.add(m.messages(id, s.now().UTC()), s.teller != nil); err != nil {
		s.unavailable(w, err)
		return
	}
	if s.teller != nil {
		s.teller.wake()
	}
	w.Header().Set("X-Message-Id", id)
	w.WriteHeader(http.StatusAccepted)
}

// readMail decodes the body. When it returns false the answer has been given.
func (s *Server) readMail(w http.ResponseWriter, r *http.Request, into *request) bool {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		refuseMail(w, http.StatusUnsupportedMediaType, problem{Message: "Content-Type should be application/json."})
		return false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMail))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		refuseMail(w, http.StatusRequestEntityTooLarge, problem{Message: "The JSON payload you have included in your request is too large. The payload can not exceed 30 MB."})
		return false
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	wrongType := new(json.UnmarshalTypeError)
	switch {
	case errors.As(err, &wrongType):
		refuseMail(w, http.StatusBadRequest, problem{Message: "Invalid type. Given: " + wrongType.Value + ".", Field: &wrongType.Field})
	case err != nil:
		refuseMail(w, http.StatusBadRequest, problem{Message: "Bad Request"})
	}
	return err == nil
}

// messages makes one message per personalization, each with what the mail as a
// whole says where it says nothing itself.
func (m request) messages(id string, now time.Time) []Message {
	all := make([]Message, 0, len(m.Personalizations))
	for _, p := range m.Personalizations {
		message := Message{
			MessageID: id, From: *m.From, To: p.To, CC: p.CC, BCC: p.BCC, ReplyTo: m.replyTo(),
			Subject: m.Subject, Text: m.part("text/plain"), HTML: m.part("text/html"),
			CustomArgs: merge(m.CustomArgs, p.CustomArgs), Headers: merge(m.Headers, p.Headers),
			Categories: m.Categories, TemplateID: m.TemplateID, Attachments: m.attachments(), ReceivedAt: now,
		}
		if p.From != nil {
			message.From = *p.From
		}
		if p.Subject != nil {
			message.Subject = *p.Subject
		}
		all = append(all, message)
	}
	return all
}

func (m request) part(mediaType string) string {
	for _, part := range m.Content {
		if part.Type == mediaType {
			return part.Value
		}
	}
	return ""
}

func (m request) replyTo() []Address {
	if m.ReplyTo != nil {
		return []Address{*m.ReplyTo}
	}
	return m.ReplyToList
}

func (m request) attachments() []Attachment {
	var all []Attachment
	for _, a := range m.Attachments {
		size := base64.StdEncoding.DecodedLen(len(a.Content))
		file := Attachment{Filename: a.Filename, Size: size}
		if a.Type != nil {
			file.Type = *a.Type
		}
		all = append(all, file)
	}
	return all
}

func merge(whole, part map[string]string) map[string]string {
	merged := map[string]string{}
	maps.Copy(merged, whole)
	maps.Copy(merged, part)
	return merged
}

func refuseMail(w http.ResponseWriter, status int, problems ...problem) {
	answer(w, status, map[string][]problem{"errors": problems})
}

// refuse answers with a status alone, the way SendGrid does.
func (s *Server) refuse(w http.ResponseWriter, status int) {
	message := http.StatusText(status)
	switch status {
	case http.StatusUnauthorized:
		message = "The provided authorization grant is invalid, expired, or revoked"
	case http.StatusTooManyRequests:
		message = "too many requests"
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(s.now().Add(rateLimitWait).Unix(), 10))
	}
	refuseMail(w, status, problem{Message: message})
}

func (s *Server) unavailable(w http.ResponseWriter, err error) {
	s.logger.Error("mail store", "err", err)
	s.refuse(w, http.StatusServiceUnavailable)
}

func answer(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		status, encoded = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // a caller that is gone needs no answer
}
