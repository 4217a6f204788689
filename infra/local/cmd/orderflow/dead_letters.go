package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/orderstory"
)

type deadLettersCommand struct {
	List    listLettersCommand    `cmd:"" help:"List dead letters: who refused which event, why, and who waits for it."`
	Show    showLetterCommand     `cmd:"" help:"Show all about one: its payload, what has happened, what people did about it."`
	Redrive redriveLettersCommand `cmd:"" help:"Send their events again. It changes nothing that was done already."`
	Discard discardLettersCommand `cmd:"" help:"Decide that nothing is to be done about them."`
}

// chosen says which letters are meant.
type chosen struct {
	addresses

	IDs      []int64 `arg:"" optional:"" name:"id" help:"Numbers of letters."`
	Function string  `help:"Those that this function refused; order-recovery for those that it gave up."`
	Code     string  `help:"Those with this HTTP status as answer." placeholder:"422"`
	Error    string  `help:"Those with this text in the answer."`
	Type     string  `help:"Those of this type of event." placeholder:"orderflow.order.placed.v1"`
	Since    *moment `help:"Those that came last at or after: a time, a day, or how long ago." placeholder:"2h"`
	Until    *moment `help:"Those that came last before." placeholder:"2026-01-31T08:00:00Z"`
	Order    string  `help:"Those about this order, by id or number."`
}

func (c chosen) filter(state string) deadletter.Filter {
	filter := deadletter.Filter{
		IDs: c.IDs, State: deadletter.State(state), Function: c.Function, Code: c.Code, Error: c.Error, Type: c.Type, Order: c.Order,
	}
	if c.Since != nil {
		filter.Since = c.Since.Time
	}
	if c.Until != nil {
		filter.Until = c.Until.Time
	}
	return filter
}

// narrowed tells whether anything was said about which letters are meant.
func (c chosen) narrowed() bool {
	return len(c.IDs) > 0 || c.Function+c.Code+c.Error+c.Type+c.Order != "" || c.Since != nil || c.Until != nil
}

// acting is what redriving and discarding have in common.
type acting struct {
	operator
	chosen

	State  string `help:"Those in this state: ${enum}." enum:"open,redriven,discarded" default:"open"`
	All    bool   `help:"All of them: needed where nothing else says which."`
	By     string `help:"Who does it, for the record." env:"ORDERFLOW_OPERATOR,USER" required:""`
	Reason string `help:"Why, for the record. No personal data: it is kept for good."`
	DryRun bool   `help:"Say what would be done, and do nothing."`
}

func (a acting) check() error {
	if !a.narrowed() && !a.All {
		return errors.New("which letters? Give their numbers, a filter, or --all")
	}
	return nil
}

// desk calls do with the desk of the database that the environment names.
func desk(ctx context.Context, addresses map[string]string, do func(*deadletter.Desk) error) error {
	pool, err := database(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return explained(do(deadletter.NewDesk(pool, addresses)))
}

type listLettersCommand struct {
	operator
	chosen

	State string `help:"Those in this state: ${enum}." enum:"open,redriven,discarded,all" default:"open"`
}

// Run implements the command.
func (c *listLettersCommand) Run(ctx context.Context) error {
	state := c.State
	if state == "all" || len(c.IDs) > 0 {
		state = ""
	}
	return desk(ctx, c.Services, func(desk *deadletter.Desk) error {
		list := newLetterList(os.Stdout, c.JSON)
		if err := desk.Each(ctx, c.filter(state), list.add); err != nil {
			return err
		}
		return list.close()
	})
}

type showLetterCommand struct {
	operator
	addresses

	ID int64 `arg:"" help:"Number of the letter."`
}

// shownLetter is a letter, and what was done because of its event.
type shownLetter struct {
	deadletter.Account

	Effects []orderstory.Step `json:"effects"`
}

// Run implements the command.
func (c *showLetterCommand) Run(ctx context.Context) error {
	pool, err := database(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	shown := shownLetter{Effects: []orderstory.Step{}}
	if shown.Account, err = deadletter.NewDesk(pool, c.Services).Show(ctx, c.ID); err != nil {
		return explained(err)
	}
	if shown.Number != "" {
		story, err := orderstory.Tell(ctx, pool, shown.OrderID, time.Time{}, c.Services)
		if err != nil {
			return explained(err)
		}
		shown.Effects = story.Because(shown.Happened)
	}
	if c.JSON {
		return printJSON(os.Stdout, shown)
	}
	return printLetter(os.Stdout, shown)
}

type redriveLettersCommand struct {
	acting
	sinks

	Rate       float64 `help:"Events per second at most, from 0.1 on; 0 is no limit." default:"0"`
	Data       string  `help:"File with the data to send instead, - for standard input. For one letter, with a --reason." placeholder:"FILE"`
	AsRecorded bool    `help:"Send what the order's history says, where a letter says otherwise. With a --reason."`
}

// Run implements the command.
func (c *redriveLettersCommand) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	to, err := c.open()
	if err != nil {
		return err
	}
	how := deadletter.Redrive{
		Act: deadletter.Act{By: c.By, Reason: c.Reason}, Recorded: c.AsRecorded, Rate: c.Rate, DryRun: c.DryRun,
	}
	if how.Data, err = c.edit(); err != nil {
		return err
	}
	return desk(ctx, c.Services, func(desk *deadletter.Desk) error {
		told := newTeller(os.Stdout, c.JSON)
		return told.end(desk.Redrive(ctx, to, c.filter(c.State), how, told.tell))
	})
}

// edit reads the data to be sent instead; nil if there are none.
func (c *redriveLettersCommand) edit() ([]byte, error) {
	if c.Data == "" {
		return nil, nil
	}
	read := func() ([]byte, error) { return os.ReadFile(c.Data) }
	if c.Data == "-" {
		read = func() ([]byte, error) { return io.ReadAll(os.Stdin) }
	}
	data, err := read()
	if err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	if strings.TrimSpace(string(data)) == "" {
		return nil, fmt.Errorf("read data: %s is empty", c.Data)
	}
	return data, nil
}

type discardLettersCommand struct{ acting }

// Run implements the command.
func (c *discardLettersCommand) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	return desk(ctx, c.Services, func(desk *deadletter.Desk) error {
		told := newTeller(os.Stdout, c.JSON)
		act := deadletter.Act{By: c.By, Reason: c.Reason}
		return told.end(desk.Discard(ctx, c.filter(c.State), act, c.DryRun, told.tell))
	})
}
