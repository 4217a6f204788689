package function_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	function "github.com/orderflow-project/orderflow/functions/backoffice"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
)

// FuzzQueries asks the back office anything. Without the token nobody gets in,
// nothing is our own fault, and answers of the API are JSON.
func FuzzQueries(f *testing.F) {
	const good = "Bearer " + token
	for _, authorization := range []string{"", good, good + " ", "bearer " + token, "Basic x", "Bearer \xff"} {
		for _, target := range []string{
			"/", "/api/openapi.json", "/api/nothing", "/api/analytics/summary", "/api/analytics/summary?from=&to=", "/api/analytics/summary?from=now", "/api/analytics/summary?from=%00&to=%ff",
			"/api/analytics/summary?from=0000-01-01T00:00:00Z", "/api/analytics/summary?to=9999-12-31T23:59:60Z", "/api/analytics/summary?from=2026-11-22T12:00:00%2B23:59&to=2026-11-22T12:00:00-23:59",
			"/api/analytics/summary?from=2026-11-22T12:00:00Z&from=x", "/api/analytics/summary?;=&%", "/api/../api/analytics/summary", "/api/analytics/summary/", "//api/analytics/summary",
		} {
			f.Add(http.MethodGet, target, authorization)
		}
		f.Add(http.MethodPost, "/api/analytics/summary", authorization)
	}
	office := function.New()
	err := office.Start(f.Context(), map[string]string{"DATABASE_URL": postgrestest.New(f).Config().ConnString(), "BACKOFFICE_TOKEN": token})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = office.Stop(context.Background()) })
	f.Fuzz(func(t *testing.T, method, target, authorization string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://office"+target, nil)
		if err != nil || request.URL.Host != "office" {
			return
		}
		request.Header.Set("Authorization", authorization)
		answer := httptest.NewRecorder()
		office.Handle(answer, request)
		if answer.Code >= http.StatusInternalServerError {
			t.Errorf("%s %q is answered by %d %s", method, target, answer.Code, answer.Body)
		}
		moved := []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect}
		if !strings.HasPrefix(request.URL.Path, "/api/") || slices.Contains(moved, answer.Code) || method == http.MethodHead {
			return
		}
		if !json.Valid(answer.Body.Bytes()) {
			t.Errorf("%s %q is answered by %q, which is no JSON", method, target, answer.Body)
		}
		if answer.Code == http.StatusOK && request.URL.Path == "/api/analytics/summary" && !strings.EqualFold(strings.TrimSpace(authorization), good) {
			t.Errorf("%q gets in", authorization)
		}
	})
}
