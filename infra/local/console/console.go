// Package console shows a running system in one terminal: the start as a
// progress, then one short line for each step of an order, and everything else
// that a person would want to see.
package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Console writes to a terminal, or to a file when there is none.
type Console struct {
	out   io.Writer
	fancy bool // colours, and a progress line that is written over
	now   func() time.Time

	mu       sync.Mutex
	progress string // what stands on the progress line
	began    time.Time
	second   int64
	lines    int // written in this second
	dropped  int
	troubles *troubles
}

// New makes a console. Fancy is for terminals.
func New(out io.Writer, fancy bool) *Console {
	return &Console{out: out, fancy: fancy, now: time.Now, began: time.Now(), troubles: newTroubles()}
}

// maxLines bounds what is written in one second; a load test writes thousands,
// which nobody reads and the terminal can't take.
const maxLines = 100

// maxText bounds a line; the logs have the rest.
const maxText = 300

// Line shows a line of a process, if it is worth showing.
func (c *Console) Line(process, line string) {
	short, worth := render(process, line)
	if !worth {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.troubles.judge(process, &short, c.now()) {
		return
	}
	allowed := maxLines
	if short.mark != "" {
		allowed *= 2 // trouble shows in a load test too
	}
	if c.full(allowed) {
		c.dropped++
		return
	}
	c.show(colour(process), process, c.trouble(short.mark, printable(short.text+after("  ", short.why))))
}

// show shows a line, with the time and who has said it.
func (c *Console) show(style int, who, text string) {
	c.print(c.paint(dim, c.now().Format("15:04:05.000")) + " " + c.paint(style, fmt.Sprintf("%-21s", who)) + " " + text)
}

// full tells whether this second has had its lines, and accounts for the last one.
func (c *Console) full(allowed int) bool {
	if second := c.now().Unix(); second != c.second {
		if c.dropped > 0 {
			c.print(fmt.Sprintf("             ... and %d more lines, which are in the logs", c.dropped))
		}
		c.second, c.lines, c.dropped = second, 0, 0
	}
	if c.lines >= allowed {
		return true
	}
	c.lines++
	return false
}

// Say shows what the system itself has to say.
func (c *Console) Say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.show(bold, "orderflow", printable(text))
}

// Step shows how far the start has come.
func (c *Console) Step(step string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.now().Sub(c.began).Seconds()
	if !c.fancy {
		fmt.Fprintf(c.out, "%5.1f s  %s\n", took, step)
		return
	}
	c.progress = fmt.Sprintf("%5.1f s  %s ...", took, step)
	c.clear()
	fmt.Fprint(c.out, c.progress)
}

// Print ends the progress and shows a text as it is.
func (c *Console) Print(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	c.progress = ""
	fmt.Fprint(c.out, text)
}

// print shows a line above the progress.
func (c *Console) print(line string) {
	c.clear()
	fmt.Fprintln(c.out, line)
	if c.progress != "" {
		fmt.Fprint(c.out, c.progress)
	}
}

func (c *Console) clear() {
	if c.fancy && c.progress != "" {
		fmt.Fprint(c.out, "\r\x1b[K")
	}
}

// The codes of a terminal's styles. Red and yellow are kept for trouble.
const (
	bold = 1
	dim  = 2
	grey = 90
)

// colour gives each function that moves orders or watches them a colour of its
// own, the same at each start. Whoever speaks only in trouble goes without.
func colour(process string) int {
	functions := []string{
		"storefront", "payment-verification", "inventory-update", "shipment-preparation", "order-cancellation",
		"order-recovery", "customer-notification", "order-analytics",
	}
	palette := []int{36, 34, 32, 35, 95, 92, 94, 96}
	if i := slices.Index(functions, process); i >= 0 {
		return palette[i]
	}
	return grey
}

func (c *Console) trouble(mark, text string) string {
	switch mark {
	case "":
		return text
	case "!":
		return c.paint(33, mark+" "+text)
	default:
		return c.paint(31, mark+" "+text)
	}
}

func (c *Console) paint(style int, text string) string {
	if !c.fancy {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", style, text)
}

// printable makes one line of a text, whatever is in it: an error has several,
// and a stranger's event could steer the terminal.
func printable(text string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	runes := []rune(strings.TrimRight(plain, " "))
	if len(runes) > maxText {
		return string(runes[:maxText]) + " ..."
	}
	return string(runes)
}

// Table lays rows of name, address and remark out in columns.
func Table(rows [][3]string) string {
	var widths [2]int
	for _, row := range rows {
		widths[0] = max(widths[0], len(row[0]))
		if row[2] != "" { // a long address with nothing after it needs no column
			widths[1] = max(widths[1], len(row[1]))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		line := fmt.Sprintf("  %-*s  %-*s  %s", widths[0], row[0], widths[1], row[1], row[2])
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
}
