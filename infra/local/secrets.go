package local

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orderflow-project/orderflow/infra/local/postgres"
	mail "github.com/orderflow-project/orderflow/shared/mailbox"
)

// Secrets are what the secrets of the cluster hold, by key.
type Secrets map[string]string

// Keys of the secrets that are made at the first start. The database's password
// is no secret of the cluster's, where DATABASE_URL has it.
const (
	keyPostgresPassword = "POSTGRES_PASSWORD" //nolint:gosec // a name
	keyDatabaseURL      = "DATABASE_URL"
	keyPaymentProvider  = "PAYMENT_PROVIDER_KEY"
	keySendGrid         = "SENDGRID_API_KEY"
	keySendGridWebhook  = "SENDGRID_WEBHOOK_PRIVATE_KEY" //nolint:gosec // a name
	keyS3Access         = "AWS_ACCESS_KEY_ID"
	keyS3Secret         = "AWS_SECRET_ACCESS_KEY" //nolint:gosec // a name
)

func generatedKeys() []string {
	return []string{
		keyS3Access, keyS3Secret, "BACKOFFICE_OIDC_CLIENT_SECRET", "BACKOFFICE_PASSWORD", "BACKOFFICE_SESSION_KEY", "BACKOFFICE_TOKEN",
		"ORDER_TOKEN_KEY", keyPaymentProvider, keyPostgresPassword, keySendGrid,
		keySendGridWebhook, "STRIPE_WEBHOOK_SECRET",
	}
}

const secretsFile = "secrets"

// loadSecrets reads the secrets of earlier runs, and adds those that are missing.
func (p *plan) loadSecrets() error {
	path := p.path(secretsFile)
	secrets, err := readSecrets(path)
	if err != nil {
		return err
	}
	if secrets[keyPostgresPassword] == "" {
		if err := p.checkNoCluster(); err != nil {
			return err
		}
	}
	p.secrets = secrets
	known := len(secrets)
	made, err := secrets.complete()
	if err != nil {
		return err
	}
	if p.values, err = p.configMap(); err != nil || len(made) == 0 {
		return err
	}
	if known > 0 {
		p.Say("made anew, since " + path + " lacks it: " + strings.Join(made, ", "))
	}
	return secrets.save(path)
}

// readSecrets reads what there is. A file that is not as it was written is an
// error: what it has lost, as the password of a database that exists, can't be
// made again.
func readSecrets(path string) (Secrets, error) {
	secrets := Secrets{}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" || strings.ContainsFunc(line, unreadable) {
			return nil, fmt.Errorf("the secrets in %s are damaged (line %d): restore the file, or remove all data with make reset", path, number)
		}
		secrets[key] = value
	}
	return secrets, nil
}

// unreadable finds what no secret has in it, but a file that was cut off or
// overwritten may.
func unreadable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

// checkNoCluster refuses to make a new password where data are that have one.
func (p *plan) checkNoCluster() error {
	if !p.starts(postgresServer) {
		return nil
	}
	owner, err := postgres.ServerOwner()
	if err != nil {
		return err
	}
	dir, err := databaseDir(p.State, owner)
	if err != nil {
		return err
	}
	if dir != "" && (postgres.Cluster{Dir: dir}).Exists() {
		return p.lockedOut("has lost")
	}
	return nil
}

// lockedOut says that the database is there but its password isn't.
func (p *plan) lockedOut(why string) error {
	return fmt.Errorf("%s %s the password of the PostgreSQL data that are kept: restore the file, or remove all data with make reset", p.path(secretsFile), why)
}

// complete makes the secrets that are missing, and names them.
func (s Secrets) complete() ([]string, error) {
	var made []string
	for _, key := range generatedKeys() {
		if s[key] != "" {
			continue
		}
		s[key] = rand.Text() + rand.Text()[:10] // 180 bits; one key must have 32 characters
		if key == keySendGridWebhook {
			var err error
			if s[key], err = mail.NewWebhookKey(); err != nil {
				return nil, err
			}
		}
		made = append(made, key)
	}
	return made, nil
}

// webhookKey is the public key of the mailbox's webhook; there is none before the
// secrets are known.
func (s Secrets) webhookKey() (string, error) {
	if s[keySendGridWebhook] == "" {
		return "", nil
	}
	key, err := mail.ParseWebhookKey(s[keySendGridWebhook])
	if err != nil {
		return "", fmt.Errorf("the secret %s: %w", keySendGridWebhook, err)
	}
	return mail.PublicKey(key)
}

// save writes all at once, for the owner alone.
func (s Secrets) save(path string) error {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&text, "%s=%s\n", key, s[key])
	}
	if err := writeWhole(path, text.String()); err != nil {
		return fmt.Errorf("write secrets: %w", err)
	}
	return nil
}
