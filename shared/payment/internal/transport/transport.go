// Package transport is how payment providers are called.
package transport

import (
	"net/http"
	"time"
)

// idleConns are as many as there may be orders under way at once.
const idleConns = 128

// NewClient returns a client that keeps enough connections open for many orders at
// once. It follows no redirect: that would carry the key elsewhere.
func NewClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			MaxIdleConnsPerHost: idleConns,
			IdleConnTimeout:     90 * time.Second,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
