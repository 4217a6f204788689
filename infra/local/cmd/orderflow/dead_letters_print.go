package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/orderflow-project/orderflow/shared/deadletter"
)

// errorWidth is how much of an error is shown in a list.
const errorWidth = 60

// letterList prints letters as they come.
type letterList struct {
	out    io.Writer
	table  *tabwriter.Writer
	json   bool
	number int
}

func newLetterList(out io.Writer, json bool) *letterList {
	list := &letterList{out: out, table: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), json: json}
	if !json {
		fmt.Fprintln(list.table, "ID\tSTATE\tTIMES\tLAST (UTC)\tEVENT\tORDER\tREFUSED BY\tCODE\tWAITING FOR IT\tERROR")
	}
	return list
}

func (l *letterList) add(letter deadletter.Letter) error {
	l.number++
	if l.json {
		return printJSON(l.out, letter)
	}
	_, err := fmt.Fprintf(l.table, "%d\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", letter.ID, letter.State, letter.Times,
		shownTime(letter.LastAt), eventOf(letter), orderOf(letter), deadletter.Printable(letter.Function), deadletter.Printable(letter.Code),
		waiting(letter), cut(deadletter.Printable(letter.Error), errorWidth))
	return err
}

func (l *letterList) close() error {
	if l.json {
		return nil
	}
	if err := l.table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintln(l.out, "\n"+counted(l.number, "letter"))
	return nil
}

// eventOf is what happened, as far as that is known.
func eventOf(letter deadletter.Letter) string {
	if letter.Topic != "" {
		return letter.Topic
	}
	return cut(deadletter.Printable(letter.Type), errorWidth)
}

func orderOf(letter deadletter.Letter) string {
	switch {
	case letter.Number != "":
		return letter.Number
	case letter.OrderID != "":
		return letter.OrderID
	default:
		return "-"
	}
}

// waiting says what a redrive would come to.
func waiting(letter deadletter.Letter) string {
	switch {
	case letter.Refusal != "":
		return "can't be sent"
	case len(letter.Waiting) == 0:
		return "nobody"
	default:
		return strings.Join(letter.Waiting, ", ")
	}
}

func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

func counted(number int, thing string) string {
	if number == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(number) + " " + thing + "s"
}

// printLetter prints all about one letter.
func printLetter(out io.Writer, a shownLetter) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, deadletter.Printable(value)) }
	line("letter", fmt.Sprintf("%d, %s", a.ID, a.State))
	line("event", a.EventID)
	line("type", a.Type+" from "+a.Source)
	line("order", orderOf(a.Letter))
	line("refused by", strings.TrimSpace(a.Function+" "+a.Code))
	line("because", a.Error)
	line("came", fmt.Sprintf("%s, first %s UTC, last %s UTC", counted(a.Times, "time"), shownTime(a.FirstAt), shownTime(a.LastAt)))
	line("handled by", or(strings.Join(a.Handled, ", "), "nobody"))
	for _, step := range a.Effects {
		line("done", fmt.Sprintf("%s UTC %s: %s", shownTime(step.At), step.By, step.Text))
	}
	line("waiting", or(strings.Join(a.Waiting, ", "), "nobody"))
	line("redrive", prospect(a.Letter))
	line("payload", a.Payload)
	for _, done := range a.History {
		line("history", history(done))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

func prospect(letter deadletter.Letter) string {
	switch {
	case letter.Refusal != "":
		return "isn't possible: " + letter.Refusal
	case len(letter.Waiting) == 0:
		return "changes nothing: all who read " + letter.Topic + " have handled it"
	default:
		return "would be handled by " + strings.Join(letter.Waiting, ", ") + ", and changes nothing that was done"
	}
}

func history(done deadletter.Done) string {
	text := fmt.Sprintf("%s UTC %s by %s", shownTime(done.At), done.Action, done.By)
	if done.Reason != "" {
		text += " (" + done.Reason + ")"
	}
	switch done.Outcome {
	case "":
		text += ": not over, or ended before its end was written down; the event may have been sent"
	case deadletter.OutcomeFailed:
		text += ": failed, " + done.Error
	default:
		text += ": " + string(done.Outcome)
	}
	if done.Sent != "" {
		text += "; sent instead: " + done.Sent
	}
	return text
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// teller prints what becomes of letters as it happens, and counts.
type teller struct {
	out    io.Writer
	json   bool
	dryRun bool
	counts map[deadletter.Outcome]int
	err    error
}

func newTeller(out io.Writer, json bool) *teller {
	return &teller{out: out, json: json, counts: map[deadletter.Outcome]int{}}
}

func (t *teller) tell(result deadletter.Result) {
	t.counts[result.Outcome]++
	t.dryRun = result.DryRun
	if t.json {
		t.err = errors.Join(t.err, printJSON(t.out, result))
		return
	}
	text := fmt.Sprintf("%-9s %d %s %s", said(result.Outcome, result.DryRun), result.Letter.ID, eventOf(result.Letter), orderOf(result.Letter))
	switch {
	case result.Why != "":
		text += ": " + deadletter.Printable(result.Why)
	case result.Outcome == deadletter.OutcomeSent:
		text += ", waiting: " + waiting(result.Letter)
	}
	if result.Edited {
		text += ", with other data"
	}
	fmt.Fprintln(t.out, text)
}

func said(outcome deadletter.Outcome, dryRun bool) string {
	switch {
	case dryRun && outcome == deadletter.OutcomeSent:
		return "to send"
	case dryRun && outcome == deadletter.OutcomeDiscarded:
		return "to discard"
	default:
		return string(outcome)
	}
}

// end prints the sum. It is an error that something wasn't done that was to be.
func (t *teller) end(err error) error {
	var parts []string
	for _, outcome := range []deadletter.Outcome{
		deadletter.OutcomeSent, deadletter.OutcomeDiscarded, deadletter.OutcomeFailed, deadletter.OutcomeRefused, deadletter.OutcomeLeft,
	} {
		if number := t.counts[outcome]; number > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", number, said(outcome, t.dryRun)))
		}
	}
	if !t.json {
		fmt.Fprintln(t.out, or(strings.Join(parts, ", "), "no such letters"))
	}
	undone := t.counts[deadletter.OutcomeFailed] + t.counts[deadletter.OutcomeRefused]
	switch {
	case err != nil:
		return err
	case undone > 0:
		return errors.Join(t.err, fmt.Errorf("%s could not be sent: 'dead-letters show' says more", counted(undone, "letter")))
	default:
		return t.err
	}
}
