package function

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestOnlyS3SaysThatALabelIsStored has a proxy on the way answer with a page of its own.
func TestOnlyS3SaysThatALabelIsStored(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>You are connected to the guest network.</html>")
	}))
	defer proxy.Close()
	config := testS3(t).config()
	for name, test := range map[string]struct {
		endpoint string
		want     error
	}{"S3": {config.Endpoint, nil}, "a proxy": {proxy.URL, errNotS3}} {
		config.Endpoint = test.endpoint
		store, err := openLabels(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.put(t.Context(), "labels/one.pdf", []byte("%PDF")); !errors.Is(err, test.want) {
			t.Errorf("%s answers: put() = %v, want %v", name, err, test.want)
		}
	}
}
