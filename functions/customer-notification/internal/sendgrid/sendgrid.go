// Package sendgrid hands mails to SendGrid, or to whatever speaks its API.
package sendgrid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sendgrid/rest"
	"github.com/sendgrid/sendgrid-go"
	sgmail "github.com/sendgrid/sendgrid-go/helpers/mail"
)

// Config is how to reach SendGrid.
type Config struct {
	Key string `env:"SENDGRID_API_KEY,required,notEmpty"`
	// Host is SendGrid's own where it is empty.
	Host string `env:"SENDGRID_HOST"`
	// Timeout bounds one mail, from the first byte sent to the last one read.
	Timeout time.Duration `env:"SENDGRID_TIMEOUT" envDefault:"10s"`
}

// ErrUncertain says that nobody here knows whether a mail was taken: the answer
// was lost, or somebody in between gave one of their own. Sent again, the mail
// may arrive twice.
var ErrUncertain = errors.New("no telling whether it was taken")

// RefusalError is SendGrid's own word that it will never take a mail, however often
// it is sent. Every other error of Send is worth another attempt.
type RefusalError struct {
	status int
	fields []string
}

// Error implements error. It names the fields that SendGrid complains about and
// leaves out its sentences: they may repeat what is in the fields.
func (r *RefusalError) Error() string {
	return fmt.Sprintf("mail refused: status %d%s", r.status, named(r.fields))
}

// OfRecipient tells whether all that is wrong is the address the mail goes to.
func (r *RefusalError) OfRecipient() bool {
	return !slices.ContainsFunc(r.fields, func(field string) bool { return !strings.HasPrefix(field, "personalizations.0.to.") })
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Mail is one mail to one person.
type Mail struct {
	From, To            mail.Address
	Subject, Text, HTML string
	// Category is what SendGrid's statistics count it as.
	Category string
	// Args come back with every event about the mail: ids, nothing personal.
	Args map[string]string
}

// Client sends mails. Unlike sendgrid.Client, which keeps the mail in itself,
// it may be shared.
type Client struct {
	config Config
	http   *http.Client
}

// idleConns is how many connections wait for the next mail. The standard
// library keeps 2, and would make a new one for most mails of a busy hour.
const idleConns = 32

// NewClient makes a client. It doesn't connect.
func NewClient(config Config) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's
	transport.MaxIdleConnsPerHost = idleConns
	return &Client{config: config, http: &http.Client{
		Timeout:   config.Timeout,
		Transport: transport,
		// A redirect would take the key and the customer's address elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Send hands over one mail and returns the id that SendGrid knows it by.
//
// An error that is ErrUncertain leaves open whether the mail was accepted:
// SendGrid takes no idempotency key.
func (c *Client) Send(ctx context.Context, m Mail) (messageID string, err error) {
	request := sendgrid.GetRequest(c.config.Key, "/v3/mail/send", strings.TrimSuffix(c.config.Host, "/"))
	request.Method, request.Body = rest.Post, sgmail.GetRequestBody(message(m))
	call, err := rest.BuildRequestObject(request)
	if err != nil {
		return "", errors.New("send mail: SENDGRID_HOST is not a URL")
	}
	// Without a connection nothing can have been sent.
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	response, err := c.http.Do(call.WithContext(httptrace.WithClientTrace(ctx, trace)))
	switch {
	case err != nil && connected:
		return "", fmt.Errorf("send mail: %w: %w", ErrUncertain, err)
	case err != nil:
		return "", fmt.Errorf("send mail: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as it matters
	// A body that breaks off is nobody's word for anything; the status remains.
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err := verdict(response.StatusCode, answer); err != nil {
		return "", fmt.Errorf("send mail: %w", err)
	}
	return response.Header.Get("X-Message-Id"), nil
}

// verdict is what an answer means. Only SendGrid can refuse a mail for good. A
// proxy on the way, or a port that wants TLS, answers 400 as well, and can be put
// right while the mail waits; so can a key, a host and a sender that are wrong.
func verdict(status int, answer []byte) error {
	fields, isSendGrid := complaints(answer)
	switch {
	case status == http.StatusAccepted:
		return nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("status %d: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM", status)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("status %d: too many mails", status)
	case isSendGrid && (status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge):
		return refused(status, fields)
	case isSendGrid || status >= 300 && status < 500:
		return fmt.Errorf("status %d%s", status, stranger(isSendGrid))
	default:
		// A gateway says 502 or 504 of a mail that it did hand on.
		return fmt.Errorf("%w: status %d%s", ErrUncertain, status, stranger(isSendGrid))
	}
}

// refused tells a mail that stays wrong from a sender that is: MAIL_FROM is the
// same in every mail, and none may be lost for it.
func refused(status int, fields []string) error {
	if slices.ContainsFunc(fields, func(field string) bool { return field == "from" || strings.HasPrefix(field, "from.") }) {
		return fmt.Errorf("status %d: MAIL_FROM is not accepted%s", status, named(fields))
	}
	return &RefusalError{status: status, fields: fields}
}

func stranger(isSendGrid bool) string {
	if isSendGrid {
		return ""
	}
	return ", not in SendGrid's words"
}

// complaints reads SendGrid's error document and returns the field of each
// error, which may be empty. Whatever else stands in an answer is not SendGrid's.
func complaints(answer []byte) (fields []string, isSendGrid bool) {
	var body struct {
		Errors []struct {
			Message string `json:"message"`
			Field   string `json:"field"`
		} `json:"errors"`
	}
	if json.Unmarshal(answer, &body) != nil {
		return nil, false
	}
	for _, one := range body.Errors {
		if one.Message == "" {
			return nil, false
		}
		fields = append(fields, one.Field)
	}
	return fields, len(fields) > 0
}

// named lists the first fields that look like one.
func named(fields []string) string {
	path := regexp.MustCompile(`^[a-z0-9_.]{1,80}$`)
	var shown []string
	for _, field := range fields {
		if path.MatchString(field) && len(shown) < 3 {
			shown = append(shown, field)
		}
	}
	if len(shown) == 0 {
		return ""
	}
	return " (" + strings.Join(shown, ", ") + ")"
}

func message(m Mail) *sgmail.SGMailV3 {
	to := sgmail.NewPersonalization()
	to.AddTos(sgmail.NewEmail(m.To.Name, m.To.Address))
	for name, value := range m.Args {
		to.SetCustomArg(name, value)
	}
	// Off by the mail, whatever the account says: a click counter would learn
	// the links' tokens, and nobody needs to know who opens a receipt.
	tracking := sgmail.NewTrackingSettings().
		SetClickTracking(sgmail.NewClickTrackingSetting().SetEnable(false).SetEnableText(false)).
		SetOpenTracking(sgmail.NewOpenTrackingSetting().SetEnable(false))
	sent := sgmail.NewV3Mail().
		SetFrom(sgmail.NewEmail(m.From.Name, m.From.Address)).
		AddPersonalizations(to).
		AddContent(sgmail.NewContent("text/plain", m.Text), sgmail.NewContent("text/html", m.HTML)).
		AddCategories(m.Category).
		SetTrackingSettings(tracking).
		SetHeader("Auto-Submitted", "auto-generated") // no holiday replies, please
	sent.Subject = m.Subject
	return sent
}
