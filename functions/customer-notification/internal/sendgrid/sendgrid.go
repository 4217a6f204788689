// Package sendgrid hands mails to SendGrid, or to whatever speaks its API.
package sendgrid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"regexp"
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

// ErrRefused says that a mail will never be taken, however often it is sent.
// Every other error of Send is worth another attempt.
var ErrRefused = errors.New("mail refused")

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
// An error that isn't ErrRefused leaves open whether the mail was accepted, if
// the connection ended before the answer came: SendGrid takes no idempotency key.
func (c *Client) Send(ctx context.Context, m Mail) (messageID string, err error) {
	request := sendgrid.GetRequest(c.config.Key, "/v3/mail/send", strings.TrimSuffix(c.config.Host, "/"))
	request.Method, request.Body = rest.Post, sgmail.GetRequestBody(message(m))
	call, err := rest.BuildRequestObject(request)
	if err != nil {
		return "", errors.New("send mail: SENDGRID_HOST is not a URL")
	}
	response, err := c.http.Do(call.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("send mail: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as it matters
	// The status is all that decides; a body that breaks off only says less.
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err := verdict(response.StatusCode, answer); err != nil {
		return "", fmt.Errorf("send mail: %w", err)
	}
	return response.Header.Get("X-Message-Id"), nil
}

// verdict is what an answer means. A mail that is wrong stays wrong; a key or
// host that is wrong can be put right while the mail waits.
func verdict(status int, answer []byte) error {
	switch status {
	case http.StatusAccepted:
		return nil
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return fmt.Errorf("%w: status %d%s", ErrRefused, status, complaints(answer))
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("status %d: SENDGRID_API_KEY is not accepted, or not for MAIL_FROM", status)
	case http.StatusTooManyRequests:
		return fmt.Errorf("status %d: too many mails", status)
	default:
		return fmt.Errorf("status %d", status)
	}
}

// complaints names the fields that SendGrid complains about. Its sentences are
// left out: they may repeat what is in the fields.
func complaints(answer []byte) string {
	var body struct {
		Errors []struct {
			Field string `json:"field"`
		} `json:"errors"`
	}
	if json.Unmarshal(answer, &body) != nil {
		return ""
	}
	path := regexp.MustCompile(`^[a-z0-9_.]{1,80}$`)
	var fields []string
	for _, one := range body.Errors {
		if path.MatchString(one.Field) && len(fields) < 3 {
			fields = append(fields, one.Field)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	return " (" + strings.Join(fields, ", ") + ")"
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
