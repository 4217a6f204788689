package awstest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Secrets is a Secrets Manager that answers the account's role and nobody else.
type Secrets struct {
	account *Account

	mu     sync.Mutex
	values map[string]Secret
	asked  []string
}

// Secret is the value of a secret, as text or not.
type Secret struct {
	SecretString string `json:",omitempty"`
	SecretBinary []byte `json:",omitempty"`
}

// Secrets starts a Secrets Manager, and has the process use it.
func (a *Account) Secrets(tb testing.TB, values map[string]Secret) *Secrets {
	tb.Helper()
	s := &Secrets{account: a, values: values}
	server := httptest.NewServer(http.HandlerFunc(s.answer))
	tb.Cleanup(server.Close)
	tb.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.URL)
	return s
}

// Put keeps a secret.
func (s *Secrets) Put(name string, value Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
}

// Asked are the secrets that somebody who may asked for, once for each time.
func (s *Secrets) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *Secrets) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	var input struct {
		SecretID string `json:"SecretId"`
	}
	if err := s.account.CheckRequest(r, "secretsmanager", time.Now()); err != nil {
		refuse(w, "InvalidSignatureException", err.Error())
		return
	}
	if target := r.Header.Get("X-Amz-Target"); target != "secretsmanager.GetSecretValue" {
		refuse(w, "UnknownOperationException", target)
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, input.SecretID)
	value, found := s.values[input.SecretID]
	if !found {
		refuse(w, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	write(w, value)
}

func refuse(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	write(w, map[string]string{"__type": code, "message": message})
}

func write(w http.ResponseWriter, value any) {
	json.NewEncoder(w).Encode(value) //nolint:errcheck,gosec,errchkjson // whoever asked hears of it
}
