package function

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/orderflow-project/orderflow/functions/dead-letter-intake/internal/store"
	"github.com/orderflow-project/orderflow/shared/stage"
)

// The extensions in which Knative says why nobody took an event.
const (
	extensionDest = "knativeerrordest"
	extensionCode = "knativeerrorcode"
	extensionData = "knativeerrordata"
)

// The extensions in which KafkaSource says where in the topic an event stands.
const (
	extensionPartition = "knativekafkapartition"
	extensionOffset    = "knativekafkaoffset"
)

const (
	// keyLength bounds what the unique index holds, in bytes.
	keyLength = 512
	// textLength bounds what is kept of an answer; Knative sends 1024 bytes.
	textLength = 4096
)

// unknown stands for what an event doesn't say.
const unknown = "unknown"

// isCloudEvent tells whether a request means to be a CloudEvent, however badly
// it is made.
func isCloudEvent(header http.Header) bool {
	if strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "application/cloudevents") {
		return true
	}
	for name := range header {
		if strings.HasPrefix(name, "Ce-") {
			return true
		}
	}
	return false
}

// letterOf makes a row of a request. It takes everything: this is where events
// end up whose content nobody could read.
func letterOf(r *http.Request, body []byte) store.AddDeadLetterParams {
	attributes, document, ok := readable(r, body)
	if !ok {
		attributes, document = unreadable(r.Header, body)
	}
	id, source := attributes["id"], attributes["source"]
	if id == "" || source == "" {
		id = named(id, body) // so that no two are one
	}
	return store.AddDeadLetterParams{
		EventID: text(id, keyLength), EventSource: text(or(source, unknown), keyLength),
		EventType: text(or(attributes["type"], unknown), keyLength), Subject: text(attributes["subject"], keyLength),
		ErrorDest: text(attributes[extensionDest], keyLength), ErrorCode: text(attributes[extensionCode], keyLength),
		ErrorData: text(decoded(attributes[extensionData]), textLength), Event: document,
		Position: positionOf(attributes),
	}
}

// positionOf is where in the topic a letter stands; empty for one that came by
// another way.
func positionOf(attributes map[string]string) string {
	partition, offset := attributes[extensionPartition], attributes[extensionOffset]
	if partition == "" || offset == "" {
		return ""
	}
	return text(partition+"/"+offset, keyLength)
}

// named makes a name of what is in a letter, for one that has none of its own.
func named(id string, content []byte) string {
	sum := sha256.Sum256(content)
	return text(id+"sha256:"+hex.EncodeToString(sum[:]), keyLength)
}

// said is what makes an event what it is, without what the way that it came has
// added: that differs each time.
func said(document []byte) []byte {
	var content struct {
		Type    json.RawMessage `json:"type"`
		Subject json.RawMessage `json:"subject"`
		Data    json.RawMessage `json:"data"`
		Base64  json.RawMessage `json:"data_base64"`
	}
	if err := json.Unmarshal(document, &content); err != nil {
		return document
	}
	all, err := json.Marshal(content)
	if err != nil {
		return document // can't be: it was JSON
	}
	return all
}

// readable reads a request as the CloudEvent it should be, and writes it down in
// structured mode.
func readable(r *http.Request, body []byte) (map[string]string, []byte, bool) {
	copied := &http.Request{Header: r.Header, Body: io.NopCloser(bytes.NewReader(body))}
	received, err := stage.ReadEvent(copied)
	if err != nil {
		return nil, nil, false
	}
	received.Context = received.Context.AsV1()
	document, err := structured(*received)
	if err != nil {
		return nil, nil, false
	}
	attributes := map[string]string{
		"id": received.ID(), "source": received.Source(), "type": received.Type(), "subject": received.Subject(),
	}
	for name, value := range received.Extensions() {
		attributes[name] = fmt.Sprint(value)
	}
	return attributes, document, true
}

// structured writes an event as JSON. Data that claims to be JSON or text and
// isn't is written as the bytes it is.
func structured(e event.Event) ([]byte, error) {
	document, err := marshal(e)
	if err == nil {
		return document, nil
	}
	e.DataBase64 = true
	return marshal(e)
}

func marshal(e event.Event) ([]byte, error) {
	var document bytes.Buffer
	if err := event.WriteJson(&e, &document); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	if !utf8.Valid(document.Bytes()) || !json.Valid(document.Bytes()) {
		return nil, fmt.Errorf("encode event: %d bytes that aren't JSON", document.Len())
	}
	return document.Bytes(), nil
}

// unreadable writes down what came in the form of a structured event, which it
// may not be a valid one of.
func unreadable(header http.Header, body []byte) (map[string]string, []byte) {
	attributes := map[string]string{}
	for name, values := range header {
		if name, ours := strings.CutPrefix(name, "Ce-"); ours {
			attributes[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	attributes["datacontenttype"] = header.Get("Content-Type")
	attributes["data_base64"] = base64.StdEncoding.EncodeToString(body)
	document, err := json.Marshal(attributes)
	if err != nil {
		document = body // can't be: a map of strings
	}
	return attributes, document
}

// decoded undoes the Base64 in which Knative wraps an answer.
func decoded(data string) string {
	plain, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return data
	}
	return string(plain)
}

// text makes a value of which Postgres takes it: valid UTF-8 without zero bytes,
// and at most limit bytes long. What is cut keeps a mark of what it was.
func text(value string, limit int) string {
	clean := strings.ReplaceAll(strings.ToValidUTF8(value, "\uFFFD"), "\x00", "\uFFFD")
	if len(clean) <= limit {
		return clean
	}
	sum := sha256.Sum256([]byte(value))
	mark := "…" + hex.EncodeToString(sum[:8])
	return strings.ToValidUTF8(clean[:limit-len(mark)], "") + mark
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
