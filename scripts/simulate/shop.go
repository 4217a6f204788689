package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

// shop is the storefront's API, as a patient customer uses it.
type shop struct {
	url  string
	http *http.Client
}

func newShop(url string, concurrency int) *shop {
	return &shop{url: strings.TrimSuffix(url, "/"), http: &http.Client{
		Timeout:   15 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: concurrency, MaxIdleConns: concurrency},
	}}
}

// products is the catalogue. A shop that nobody listens for isn't waited for: most
// likely it is not running.
func (s *shop) products(ctx context.Context) ([]product, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		var products []product
		status, err := s.call(ctx, http.MethodGet, "/api/products", "", "", nil, &products)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return nil, err
		case err == nil && status == http.StatusOK && len(products) > 0:
			return products, nil
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return nil, fmt.Errorf("status %d, %d products", status, len(products))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no answer within %s: status %d, %w", patience, status, errors.Join(err, ctx.Err()))
		case <-time.After(wait):
		}
	}
}

// accepted is the shop's answer to an order.
type accepted struct {
	ID    uuid.UUID `json:"id"`
	Token string    `json:"token"`
}

// patience is how long a customer tries to get an order through while the shop
// doesn't answer or asks to come again.
const (
	patience    = time.Minute
	firstWait   = 50 * time.Millisecond
	longestWait = 2 * time.Second
)

// order places a basket. What fails in passing is tried again under the same
// key, as a browser's resubmit is: the shop makes one order of it.
func (s *shop) order(ctx context.Context, b basket) (accepted, error) {
	body, err := json.Marshal(b)
	if err != nil {
		return accepted{}, fmt.Errorf("encode order: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		var answer accepted
		status, err := s.call(ctx, http.MethodPost, "/api/orders", b.key, "", body, &answer)
		switch {
		case err == nil && status == http.StatusAccepted:
			return answer, nil
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return accepted{}, fmt.Errorf("order refused: status %d", status)
		}
		select {
		case <-ctx.Done():
			return accepted{}, fmt.Errorf("order not accepted within %s: status %d, %w", patience, status, errors.Join(err, ctx.Err()))
		case <-time.After(wait):
		}
	}
}

// cancel asks for an order back. Too late is an answer too.
func (s *shop) cancel(ctx context.Context, a accepted) error {
	_, err := s.call(ctx, http.MethodPost, "/api/orders/"+a.ID.String()+"/cancel", "", a.Token, nil, nil)
	return err
}

func (s *shop) call(ctx context.Context, method, path, key, token string, body []byte, into any) (int, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	for name, value := range map[string]string{"Idempotency-Key": key, "Authorization": bearer(token)} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close() //nolint:errcheck // it is read to the end
	content, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	if err != nil || into == nil || response.StatusCode >= http.StatusMultipleChoices {
		return response.StatusCode, err
	}
	return response.StatusCode, json.Unmarshal(content, into)
}

func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}
