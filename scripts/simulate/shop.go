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
	var products []product
	status, err := insist(ctx, func(ctx context.Context) (int, error) {
		return s.call(ctx, http.MethodGet, "/api/products", "", "", nil, &products)
	}, syscall.ECONNREFUSED)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK || len(products) == 0 {
		return nil, fmt.Errorf("status %d, %d products", status, len(products))
	}
	return products, nil
}

// accepted is the shop's answer to an order.
type accepted struct {
	ID    uuid.UUID `json:"id"`
	Token string    `json:"token"`
}

// order places a basket. What fails in passing is tried again under the same
// key, as a browser's resubmit is: the shop makes one order of it.
func (s *shop) order(ctx context.Context, b basket) (accepted, error) {
	body, err := json.Marshal(b)
	if err != nil {
		return accepted{}, fmt.Errorf("encode order: %w", err)
	}
	var answer accepted
	status, err := insist(ctx, func(ctx context.Context) (int, error) {
		return s.call(ctx, http.MethodPost, "/api/orders", b.key, "", body, &answer)
	}, nil)
	if err != nil {
		return accepted{}, fmt.Errorf("order not accepted: %w", err)
	}
	if status != http.StatusAccepted {
		return accepted{}, fmt.Errorf("order refused: status %d", status)
	}
	return answer, nil
}

// patience is how long a customer tries to get an answer while the shop doesn't give
// one or asks to come again.
const (
	patience    = time.Minute
	firstWait   = 50 * time.Millisecond
	longestWait = 2 * time.Second
)

// insist makes a call again while it fails in passing, for as long as a customer has
// patience. Hopeless is the one failure after which it isn't made again.
func insist(ctx context.Context, call func(ctx context.Context) (status int, err error), hopeless error) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		status, err := call(ctx)
		switch {
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return status, nil
		case hopeless != nil && errors.Is(err, hopeless):
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("gave up after %s: status %d, %w", patience, status, errors.Join(err, ctx.Err()))
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
