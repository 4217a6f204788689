package mailbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// Webhook is where the mailbox tells what becomes of mail, the way SendGrid's signed
// Event Webhook does: in batches, each again until it is answered by 2xx, and some
// twice. What is to be told is on disk with the mail.
type Webhook struct {
	URL string
	// Key signs. Who is told has PublicKey of it.
	Key *ecdsa.PrivateKey
	// Gather is how long an event waits for others; 100 ms if 0.
	Gather time.Duration
	// Again is how long the first pause is after a batch that wasn't taken; half a
	// second if 0. It doubles, up to 30 s.
	Again time.Duration
}

// The headers of SendGrid's signature.
const (
	headerSignature = "X-Twilio-Email-Event-Webhook-Signature"
	headerTimestamp = "X-Twilio-Email-Event-Webhook-Timestamp"
)

const (
	maxEvents    = 500
	againSlowest = 30 * time.Second
	tellTimeout  = 10 * time.Second // SendGrid's
	// twiceEvery is which batches are told twice: those whose first event has a
	// number that it divides.
	twiceEvery = 10
)

// NewWebhookKey makes a key to sign by, as text for a file of secrets.
func NewWebhookKey() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make webhook key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encode webhook key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// ParseWebhookKey reads what NewWebhookKey has made.
func ParseWebhookKey(text string) (*ecdsa.PrivateKey, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("webhook key: not in Base64")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, is := parsed.(*ecdsa.PrivateKey)
	if err != nil || !is {
		return nil, errors.New("webhook key: not an ECDSA key")
	}
	return key, nil
}

// PublicKey is the key by which the signature is checked, as SendGrid shows its own.
func PublicKey(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// teller tells the webhook, one batch after the other.
type teller struct {
	Webhook
	store  *store
	now    func() time.Time
	logger *slog.Logger
	client *http.Client
	// news says that there may be more to tell.
	news chan struct{}
}

func newTeller(hook Webhook, kept *store, now func() time.Time, logger *slog.Logger) *teller {
	if hook.Gather == 0 {
		hook.Gather = 100 * time.Millisecond
	}
	if hook.Again == 0 {
		hook.Again = 500 * time.Millisecond
	}
	return &teller{
		Webhook: hook, store: kept, now: now, logger: logger,
		client: &http.Client{Timeout: tellTimeout}, news: make(chan struct{}, 1),
	}
}

// wake says that there is something to tell.
func (t *teller) wake() {
	select {
	case t.news <- struct{}{}:
	default: // it is known
	}
}

// run tells until ctx ends.
func (t *teller) run(ctx context.Context) {
	pause := t.Again
	for ctx.Err() == nil {
		told, err := t.next(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			t.logger.Warn("webhook", "err", err, "again_in", pause.String())
			t.wait(ctx, pause, nil)
			pause = min(2*pause, againSlowest)
		case told:
			pause = t.Again
		default:
			t.wait(ctx, againSlowest, t.news)
			t.wait(ctx, t.Gather, nil)
		}
	}
}

func (t *teller) wait(ctx context.Context, limit time.Duration, news <-chan struct{}) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-news:
	case <-ctx.Done():
	}
}

// next tells one batch, if there is any. Only what was taken is forgotten: whoever
// dies in between tells it again.
func (t *teller) next(ctx context.Context) (told bool, err error) {
	events, err := t.store.untold(maxEvents)
	if err != nil || len(events.ids) == 0 {
		return false, err
	}
	if err := t.post(ctx, events.events); err != nil {
		return false, err
	}
	if binary.BigEndian.Uint64(events.ids[0])%twiceEvery == 0 {
		if err := t.post(ctx, events.events); err != nil {
			return false, err
		}
	}
	return true, t.store.told(events)
}

func (t *teller) post(ctx context.Context, events []json.RawMessage) error {
	body, err := json.Marshal(events)
	if err != nil {
		return fmt.Errorf("encode events: %w", err)
	}
	body = append(body, "\r\n"...) // as SendGrid does; the signature is over it, too
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("tell webhook: %w", err)
	}
	stamp := strconv.FormatInt(t.now().Unix(), 10)
	sum := sha256.Sum256(append([]byte(stamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, t.Key, sum[:])
	if err != nil {
		return fmt.Errorf("sign events: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "SendGrid Event API")
	request.Header.Set(headerTimestamp, stamp)
	request.Header.Set(headerSignature, base64.StdEncoding.EncodeToString(signature))
	response, err := t.client.Do(request)
	if err != nil {
		return fmt.Errorf("tell webhook: %w", err)
	}
	defer response.Body.Close()                                       //nolint:errcheck // read as far as it matters
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is kept
	if response.StatusCode < 200 || response.StatusCode >= 300 {
		return fmt.Errorf("tell webhook: status %d", response.StatusCode)
	}
	return nil
}
