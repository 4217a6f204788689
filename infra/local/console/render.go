package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/orderflow-project/orderflow/events"
)

// said is what a process has said, made short.
type said struct {
	mark string // "!" for a warning, "!!" for an error
	text string
	why  string // the error; it comes last, since it can be long
	// about is what has to be the same for a trouble to be the same; "" if that
	// is the whole text.
	about string
	// delivery names the delivery that the line is about, if there is one.
	delivery string
	retry    bool // the delivery failed, and comes again
	quiet    bool // of no interest unless the delivery was a retry
}

// record is a line of a structured log.
type record map[string]any

func (r record) text(name string) string {
	text, _ := r[name].(string)
	return text
}

func (r record) count(name string) int {
	number, _ := r[name].(float64)
	return int(number)
}

// problem is the error in a line; the functions and the platform spell it differently.
func (r record) problem() string {
	return r.text("error") + r.text("err")
}

// render makes a process's line short, and tells whether it is worth showing:
// whatever goes wrong, and of what goes well the steps of orders alone.
func render(process, line string) (said, bool) {
	var r record
	if json.Unmarshal([]byte(line), &r) != nil {
		return said{text: line}, plainIsWorth(process, line)
	}
	if _, ours := r["msg"].(string); !ours { // func's own server
		level := r.text("level")
		return said{text: r.text("message")}, level == "error" || level == "fatal"
	}
	short := said{mark: mark(r.text("level"))}
	switch {
	case r["order"] != nil && r["outcome"] != nil:
		short.step(process, r)
		return short, true
	case r.text("msg") == "sweep":
		short.sweep(r)
		return short, short.text != ""
	case r.text("msg") == "dead letter" && r.problem() == "":
		short.deadLetter(r)
		return short, true
	case r.text("msg") == "event dead-lettered":
		return short, false // the function has said why, and dead-letter-intake says that it has it
	default:
		short.text = r.text("msg") + after(": ", r.problem()) + rest(r)
		return short, short.mark != ""
	}
}

// plainIsWorth is about lines that are no JSON, from a library or from a process
// that ends. Postgres tells of every statement's error; so does who made it.
func plainIsWorth(process, line string) bool {
	if !platform(process) {
		return strings.TrimSpace(line) != ""
	}
	for _, sign := range []string{"orderflow: ", "panic: ", "fatal error: ", " PANIC: "} {
		if strings.Contains(line, sign) {
			return true
		}
	}
	return false
}

func platform(process string) bool {
	return slices.Contains([]string{
		"postgres", "broker", "kafka-sink", "kafka-source", "ping-source", "payment-provider", "mailbox", "s3",
	}, process)
}

func mark(level string) string {
	switch level {
	case "WARN":
		return "!"
	case "ERROR":
		return "!!"
	default:
		return ""
	}
}

// step shows a step of an order: which order, what came, what followed.
func (s *said) step(process string, r record) {
	order, next := r.text("order"), afterSlash(r.text("next"))
	came := afterSlash(r.text("event"))
	if entry, known := events.ByName(next); known && came == "" {
		came = string(entry.Status) // no event led to it, but a customer
	}
	arrow := " "
	if next != "" {
		arrow = "→"
	}
	// As wide as the longest of each, so that columns can be read downwards.
	s.text = fmt.Sprintf("%-14s  %-17s %s %-17s", name(order), came, arrow, next)
	if took, ok := r["duration_ms"].(float64); ok {
		s.text += fmt.Sprintf("%6.0f ms", took)
	}
	problem := r.problem()
	if order != "" { // its id stands in the line already
		problem = strings.ReplaceAll(problem, order+"/", "")
	}
	s.delivery = r.text("event")
	switch outcome := r.text("outcome"); {
	case outcome == "retry":
		s.retry, s.about = true, strings.Map(exceptDigits, problem)
	case outcome != "applied":
		s.text += "  (" + outcome + ")"
	case r["published"] == false:
		s.text += "  (not sent yet)"
	}
	s.why = problem
	s.quiet = s.mark == "" && observes(process)
}

// exceptDigits leaves digits out: the ports of lost connections differ, the
// trouble doesn't.
func exceptDigits(r rune) rune {
	if unicode.IsDigit(r) {
		return -1
	}
	return r
}

// observes tells whether a function only watches orders, of which it reads every
// event there is. What it has seen is no step of an order.
func observes(process string) bool {
	return !slices.ContainsFunc(events.Catalog(), func(e events.Entry) bool { return !slices.Contains(e.ReadBy, process) })
}

// sweep shows what order-recovery had to do, and nothing when all went well:
// that orders are settled is the rule.
func (s *said) sweep(r record) {
	var done []string
	for _, one := range []struct{ name, text string }{
		{"resent", "sent on again"}, {"failed", "could not be sent on"}, {"given_up", "given up"},
	} {
		if n := r.count(one.name); n > 0 {
			done = append(done, fmt.Sprintf("%s: %s", one.text, orders(n)))
		}
	}
	if problem := r.problem(); problem != "" {
		done = append(done, problem)
	}
	s.text = strings.Join(done, ", ")
}

func orders(n int) string {
	if n == 1 {
		return "1 order"
	}
	return fmt.Sprintf("%d orders", n)
}

// deadLetter shows an event that dead-letter-intake has kept.
func (s *said) deadLetter(r record) {
	order, event, found := strings.Cut(r.text("event"), "/")
	if !found {
		order, event = "", order
	}
	s.text = fmt.Sprintf("%-14s  %-17s is dead letter %d: refused with %s by %s",
		name(order), event, r.count("letter"), r.text("code"), r.text("refused_by"))
}

// name is an order as it is called here, by the part of its id that differs: a
// UUIDv7 begins with the time. It is what to look for in the logs.
func name(order string) string {
	const shown = 8
	if order == "" {
		return "no order"
	}
	return "order " + order[max(0, len(order)-shown):]
}

func afterSlash(id string) string {
	_, name, found := strings.Cut(id, "/")
	if !found {
		return id
	}
	return name
}

func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// rest shows the attributes of any other line that aren't shown yet.
func rest(r record) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r)) {
		if !slices.Contains([]string{"time", "level", "msg", "function", "error", "err"}, key) {
			fmt.Fprintf(&text, "  %s=%v", key, r[key])
		}
	}
	return text.String()
}
