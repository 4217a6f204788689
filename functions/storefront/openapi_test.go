package function

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// apiDocument is what the shop says about itself.
type apiDocument struct {
	document *openapi3.T
	router   routers.Router
}

func loadAPI(t testing.TB) apiDocument {
	t.Helper()
	text, err := os.ReadFile("internal/api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatalf("load openapi.json: %v", err)
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatalf("route openapi.json: %v", err)
	}
	return apiDocument{document, router}
}

// validating holds every answer of the API to the document, and every request
// that was accepted.
type validating struct {
	next http.RoundTripper
	api  apiDocument
}

func (v *validating) RoundTrip(r *http.Request) (*http.Response, error) {
	// A validation needs the body again; one that isn't in memory isn't validated.
	var sent []byte
	if r.Body != nil && r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		if sent, err = io.ReadAll(body); err != nil {
			return nil, err
		}
	}
	response, err := v.next.RoundTrip(r)
	route, parameters, undocumented := v.api.router.FindRoute(r)
	if err != nil || undocumented != nil || !strings.HasPrefix(r.URL.Path, "/api/") {
		return response, err
	}
	return response, v.validate(r, sent, response, route, parameters)
}

func (v *validating) validate(
	r *http.Request, sent []byte, response *http.Response, route *routers.Route, parameters map[string]string,
) error {
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, MultiError: true,
	}
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	request := &openapi3filter.RequestValidationInput{Request: again, PathParams: parameters, Route: route, Options: options}
	if response.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
			return fmt.Errorf("an accepted request that openapi.json doesn't allow: %w", err)
		}
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return nil // its end is not in sight; its messages are validated by who reads them
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: response.StatusCode, Header: response.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	})
	if err != nil {
		return fmt.Errorf("an answer that openapi.json doesn't tell of: %w", err)
	}
	return nil
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	if err := loadAPI(t).document.Validate(t.Context()); err != nil {
		t.Errorf("openapi.json is not OpenAPI: %v", err)
	}
	want, err := os.ReadFile("internal/api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.get("/api/openapi.json"); got.status != http.StatusOK || !bytes.Equal(got.body, want) {
		t.Errorf("GET /api/openapi.json = %d, %d bytes, want 200 with the document", got.status, len(got.body))
	}
	for path, item := range s.client.Transport.(*validating).api.document.Paths.Map() {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			got := s.do(s.request(method, strings.ReplaceAll(path, "{id}", "x"), nil))
			allowed := got.status != http.StatusMethodNotAllowed
			if documented := item.GetOperation(method) != nil; documented != allowed {
				t.Errorf("%s %s = %d, but documented: %t", method, path, got.status, documented)
			}
		}
	}
	s.wantNothingStored()
}
