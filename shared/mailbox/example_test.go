package mailbox_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/orderflow-project/orderflow/shared/mailbox"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "mailbox")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	server, err := mailbox.New(mailbox.Options{Dir: dir, Key: "SG.example"})
	if err != nil {
		panic(err)
	}
	defer server.Close()

	send := httptest.NewRequest(http.MethodPost, "/v3/mail/send", strings.NewReader(mail("ada@example.com", "o1")))
	send.Header.Set("Authorization", "Bearer SG.example")
	send.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, send)
	fmt.Println(answer.Code, answer.Header().Get("X-Message-Id") != "")
	// Output: 202 true
}
