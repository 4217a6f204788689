package kafkasource

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderflow-project/orderflow/infra/local/kafkabinding"
)

// message is an event as it is POSTed, in binary mode, attempt by attempt.
type message struct {
	header http.Header
	body   []byte
	id     string
	kind   string
}

func (s Source) message(record *kgo.Record) (message, error) {
	e, err := kafkabinding.Event(record)
	if err != nil {
		e = s.synthesize(record)
	}
	header, err := s.header(e)
	if err != nil {
		return message{}, err
	}
	header["Ce-Knativekafkapartition"] = []string{strconv.Itoa(int(record.Partition))}
	header["Ce-Knativekafkaoffset"] = []string{strconv.FormatInt(record.Offset, 10)}
	for name, value := range s.CEOverrides {
		header.Set("Ce-"+name, sendable(value))
	}
	return message{header: header, body: e.Data(), id: e.ID(), kind: e.Type()}, nil
}

func (s Source) header(e *event.Event) (http.Header, error) {
	request := &http.Request{Header: make(http.Header, 24)}
	ctx := binding.WithForceBinary(context.Background())
	if err := cehttp.WriteRequest(ctx, (*binding.EventMessage)(e), request); err != nil {
		return nil, fmt.Errorf("write event as headers: %w", err)
	}
	for _, values := range request.Header {
		for i := range values {
			values[i] = sendable(values[i])
		}
	}
	request.Header["Prefer"] = []string{"reply"}
	request.Header["Kn-Namespace"] = []string{s.Namespace}
	return request.Header, nil
}

// sendable writes the characters that no header may have as the HTTP binding of
// CloudEvents would write them. An event that can't be sent would be tried again for
// minutes, couldn't be sent to the dead letters either, and be lost.
func sendable(value string) string {
	var text strings.Builder
	for i := range len(value) {
		if c := value[i]; (c < ' ' && c != '\t') || c == 0x7f {
			fmt.Fprintf(&text, "%%%02X", c)
		} else {
			text.WriteByte(c)
		}
	}
	return text.String()
}

// request is one attempt. The header is shared by all of them: nobody changes it.
func (m message) request(ctx context.Context, to *url.URL) *http.Request {
	request := &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        m.header,
		Body:          http.NoBody,
		ContentLength: int64(len(m.body)),
	}
	if len(m.body) > 0 {
		request.Body = io.NopCloser(bytes.NewReader(m.body))
	}
	return request.WithContext(ctx)
}
