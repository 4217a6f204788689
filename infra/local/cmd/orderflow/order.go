package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderstory"
)

type orderCommand struct {
	operator
	addresses

	ID string  `arg:"" help:"The order's id or number."`
	At *moment `help:"Show the order as it was then: a time, a day, or how long ago." placeholder:"2026-01-31T08:00:00Z"`
}

// Run implements the command. It is an error that an effect has no cause.
func (c *orderCommand) Run(ctx context.Context) error {
	pool, err := database(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	var at time.Time
	if c.At != nil {
		at = c.At.Time
	}
	story, err := orderstory.Tell(ctx, pool, c.ID, at, c.Services)
	if err != nil {
		return explained(err)
	}
	show := printStory
	if c.JSON {
		show = func(out io.Writer, story orderstory.Story) error { return printJSON(out, story) }
	}
	if err := show(os.Stdout, story); err != nil {
		return err
	}
	if without := story.Effects - story.Explained; without > 0 {
		return fmt.Errorf("%s of %s without a cause: 'make audit' looks at all orders", counted(without, "effect"), story.Number)
	}
	return nil
}

func printStory(out io.Writer, story orderstory.Story) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, deadletter.Printable(value))
		}
	}
	line("order", story.Number+", "+story.ID)
	line("as of", shownTime(story.At)+" UTC")
	line("status", story.State.Status)
	line("total", story.Total.String()+": "+lines(story.Lines))
	line("payment", story.State.Payment)
	line("units", story.State.Units)
	line("parcel", story.State.Parcel)
	for _, change := range slices.Sorted(maps.Keys(story.State.Mails)) {
		line("mail", change+" "+story.State.Mails[change])
	}
	for _, event := range slices.Sorted(maps.Keys(story.State.Waiting)) {
		line("waiting", strings.Join(story.State.Waiting[event], ", ")+" for "+event)
	}
	if story.Resends > 0 {
		line("sent again", counted(story.Resends, "time")+" by order-recovery"+next(story.ResendAfter))
	}
	fmt.Fprintf(table, "\nWHEN (UTC)\tBY\tBECAUSE OF\tWHAT\n")
	for _, step := range story.Steps {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", step.At.Format("2006-01-02 15:04:05.000"), deadletter.Printable(step.By),
			because(step), deadletter.Printable(step.Text))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Fprintf(out, "\n%s, %d with a cause\n", counted(story.Effects, "effect"), story.Explained)
	return nil
}

func lines(all []events.Line) string {
	texts := make([]string, 0, len(all))
	for _, line := range all {
		texts = append(texts, fmt.Sprintf("%d %s at %s", line.Quantity, line.SKU, line.UnitPrice))
	}
	return strings.Join(texts, ", ")
}

func next(after *time.Time) string {
	if after == nil {
		return ""
	}
	return ", next after " + shownTime(*after) + " UTC"
}

func because(step orderstory.Step) string {
	if step.Unexplained != "" {
		return or(step.Cause, "-") + " ! " + step.Unexplained
	}
	return or(step.Cause, "-")
}
