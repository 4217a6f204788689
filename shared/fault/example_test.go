package fault_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/orderflow-project/orderflow/shared/fault"
)

func ExampleInjector_Wrap() {
	faults := fault.New(func(w http.ResponseWriter, status int) { http.Error(w, "provoked", status) })
	server := faults.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Println("charged")
		_, _ = io.WriteString(w, "thank you")
	}))
	plan := strings.NewReader(`{"after": {"status": 503, "count": 1}}`)
	faults.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPut, "/faults", plan))

	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/charge", nil))
	fmt.Println(answer.Code)
	// Output:
	// charged
	// 503
}
