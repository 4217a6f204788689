package function

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLetterOf makes a letter of anything that somebody might have sent. It always
// makes one, the same each time, that Postgres takes and that has a name.
func FuzzLetterOf(f *testing.F) {
	const binary = "Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Type: t\r\nCe-Source: /s\r\n"
	for _, header := range []string{
		"", binary, "Ce-: x\r\n", binary + "Ce-: x\r\n", "Ce-Id: " + strings.Repeat("x", 5000) + "\r\n", "Content-Type: application/cloudevents+json\r\n", "Content-Type: application/cloudevents-batch+json\r\n",
		binary + "Content-Type: application/json\r\n", binary + "Content-Type: text/\xff\r\n", binary + "Ce-Time: never\r\n", binary + "Ce-Subject: \xff\xfe\r\n", binary + "Ce-Knativeerrordata: AAD/\r\n",
		binary + "Ce-Knativeerrordata: " + strings.Repeat("QUFB", 4000) + "\r\n", binary + "Ce-Knativekafkapartition: \xf0\r\nCe-Knativekafkaoffset: 1\r\n",
	} {
		for _, body := range []string{"", "{}", "\xff\x00", `{"specversion":"1.0","id":"\u0000","source":"","type":"t","data":{}}`, `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":`, strings.Repeat("[", 9000)} {
			f.Add(header, body)
		}
	}
	f.Fuzz(func(t *testing.T, header, body string) {
		read := func() *http.Request {
			request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\n" + header + "\r\n")))
			if err != nil {
				return nil // net/http refuses it itself
			}
			request.Body = io.NopCloser(strings.NewReader(body))
			return request
		}
		request := read()
		if request == nil {
			return
		}
		letter := letterOf(request, []byte(body))
		for name, value := range map[string]string{
			"id": letter.EventID, "source": letter.EventSource, "type": letter.EventType, "subject": letter.Subject,
			"dest": letter.ErrorDest, "code": letter.ErrorCode, "data": letter.ErrorData, "position": letter.Position,
		} {
			if !utf8.ValidString(value) || strings.Contains(value, "\x00") || len(value) > textLength {
				t.Errorf("%q %q has the %s %q", header, body, name, value)
			}
		}
		if letter.EventID == "" || letter.EventSource == "" || letter.EventType == "" || !json.Valid(letter.Event) {
			t.Errorf("%q %q is the letter %q of %q %q: %q", header, body, letter.EventID, letter.EventSource, letter.EventType, letter.Event)
		}
		if again := letterOf(read(), []byte(body)); !reflect.DeepEqual(letter, again) {
			t.Errorf("%q %q is another letter each time", header, body)
		}
	})
}
