package kafkasink_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// FuzzIngress sends anything to a sink. It answers with what it says that it does,
// and never by a lost connection: whoever sends an event has to know.
func FuzzIngress(f *testing.F) {
	const binary = "Ce-Specversion: 1.0\r\nCe-Id: 1\r\nCe-Type: t\r\nCe-Source: /s\r\n"
	for _, header := range []string{
		"", binary, binary + "Ce-: x\r\n", binary + "Ce-Partitionkey: \xff\r\n", binary + "Ce-Time: never\r\n", "Content-Type: application/cloudevents+json\r\n", "Content-Type: application/cloudevents-batch+json\r\n",
		binary + "Content-Type: application/json; charset=\"\r\n", strings.Replace(binary, "1.0", "0.3", 1), binary + "Ce-Data: x\r\nCe-Data_base64: x\r\n", binary + "Ce-X: " + strings.Repeat("x", 5000) + "\r\n",
	} {
		for _, body := range []string{"", "{}", "\xff\x00", `{"specversion":"1.0","id":"1","type":"t","source":"/s","partitionkey":7}`, `{"specversion":"1.0","id":"1","type":"t","source":"/s","x":{}}`, strings.Repeat("[", 9000)} {
			f.Add(http.MethodPost, "/n/sink", header, body)
		}
	}
	for _, path := range []string{"/", "/n/other", "/n/sink/", "/n//sink", "/n/sink?x=%ff", "/healthz", "/../n/sink"} {
		f.Add(http.MethodPost, path, binary, "{}")
		f.Add(http.MethodGet, path, "K-Network-Probe: probe\r\n", "")
	}
	address := start(f, kafka(f, kfake.DataDir(f.TempDir())).ListenAddrs(), 5*time.Second, &logLines{})
	at, err := url.Parse(address)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, header, body string) {
		if !meant(method, path, header) {
			return
		}
		request := method + " " + path + " HTTP/1.1\r\nHost: ingress\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + header + "\r\n" + body
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q gets no answer: %v", request, err)
		}
		defer response.Body.Close()
		if !slices.Contains([]int{200, 202, 400, 404, 405, 431, 501, 503, 505}, response.StatusCode) {
			t.Errorf("%q is answered by %s", request, response.Status)
		}
		if response.StatusCode == http.StatusAccepted && !strings.Contains(strings.ToLower(header), "ce-specversion") && !strings.Contains(body, "specversion") {
			t.Errorf("%q is taken for an event", request)
		}
	})
}

// meant tells that what is sent is the request that is meant, and not another one or
// the half of one: that is between net/http and its client.
func meant(method, path, header string) bool {
	whole := header == "" || strings.HasSuffix(header, "\r\n") && !strings.HasPrefix(header, "\r\n") && !strings.Contains(header, "\r\n\r\n")
	framing := []string{"content-length", "transfer-encoding", "expect", "connection", "upgrade"}
	return whole && !strings.ContainsAny(method+path, " \r\n") &&
		!slices.ContainsFunc(framing, func(name string) bool { return strings.Contains(strings.ToLower(header), name) })
}
