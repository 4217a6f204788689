package kafkasource

import (
	"encoding/base64"
	"maps"
	"strconv"
	"strings"
)

// kne is how the headers begin by which a function gives reasons of its own.
const kne = "Kne-"

// dead is the message for the dead letter sink: the event with the reason why
// its destination did not take it.
func (m message) dead(destination string, f *failure) message {
	m.header = maps.Clone(m.header)
	m.header["Ce-Knativeerrordest"] = []string{destination}
	if f.status == 0 {
		return m
	}
	m.header["Ce-Knativeerrorcode"] = []string{strconv.Itoa(f.status)}
	for key, values := range f.header {
		name, found := strings.CutPrefix(key, kne)
		if found && name != "" && extensionName(name) == strings.ToLower(name) {
			m.header.Set("Ce-"+name, values[0])
		}
	}
	if len(f.data) > 0 {
		m.header["Ce-Knativeerrordata"] = []string{base64.StdEncoding.EncodeToString(f.data)}
	}
	return m
}
