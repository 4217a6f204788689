package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderflow-project/orderflow/shared/deadletter"
	"github.com/orderflow-project/orderflow/shared/stockroom"
)

type stockCommand struct {
	List    listStockCommand    `cmd:"" help:"List the stock of all articles."`
	Show    showStockCommand    `cmd:"" help:"Show an article's stock, and what moved it last."`
	Receive receiveStockCommand `cmd:"" help:"Take in goods that came. Entering them again by the same reference changes nothing."`
	Adjust  adjustStockCommand  `cmd:"" help:"Adjust the stock to what counting has found. What orders hold stays."`
}

// stockroomOf calls do with the stockroom of the database that the environment names.
func stockroomOf(ctx context.Context, do func(*stockroom.Room) error) error {
	pool, err := database(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return explained(do(stockroom.New(pool)))
}

type listStockCommand struct{ operator }

// Run implements the command.
func (c *listStockCommand) Run(ctx context.Context) error {
	return stockroomOf(ctx, func(room *stockroom.Room) error {
		all, err := room.List(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			for _, one := range all {
				if err := printJSON(os.Stdout, one); err != nil {
					return err
				}
			}
			return nil
		}
		return printStock(os.Stdout, all)
	})
}

func printStock(out io.Writer, all []stockroom.Article) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SKU\tON HAND\tRESERVED\tAVAILABLE\tSHIPPED\tRETURNED\tOPENING\tRECEIVED\tADJUSTED\tNAME")
	for _, a := range all {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%+d\t%s\n", a.SKU, a.OnHand, a.Reserved, a.Available, a.Shipped, a.Returned,
			a.Opening, a.Received, a.Adjusted, deadletter.Printable(a.Name))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

type showStockCommand struct {
	operator

	SKU  string `arg:"" name:"sku" help:"The article."`
	Last int    `help:"How many of its last transfers." default:"20"`
}

// Run implements the command.
func (c *showStockCommand) Run(ctx context.Context) error {
	return stockroomOf(ctx, func(room *stockroom.Room) error {
		account, err := room.Show(ctx, c.SKU, c.Last)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(os.Stdout, account)
		}
		return printAccount(os.Stdout, account)
	})
}

func printAccount(out io.Writer, account stockroom.Account) error {
	if err := printStock(out, []stockroom.Article{account.Article}); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nWHEN (UTC)\tWHAT\tUNITS\tFROM\tTO\tBECAUSE OF")
	for _, t := range account.Last {
		why := []string{}
		for _, part := range []string{t.Cause, t.OrderID, t.By, t.Reference, t.Reason} {
			if part != "" {
				why = append(why, deadletter.Printable(part))
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", shownTime(t.At), t.Kind, t.Quantity, t.From, t.To, strings.Join(why, ", "))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// signed is who does something to the stock, and why.
type signed struct {
	By     string `help:"Who does it, for the record." env:"ORDERFLOW_OPERATOR,USER" required:""`
	Reason string `help:"Why, for the record. No personal data: it is kept for good."`
}

type receiveStockCommand struct {
	operator
	signed

	Goods     []string `arg:"" name:"sku-quantity" help:"What came: SKU 20 SKU 5 ..."`
	Reference string   `help:"What the delivery is known by, as PO-17: it is taken in once." required:""`
}

// Run implements the command.
func (c *receiveStockCommand) Run(ctx context.Context) error {
	lines, err := goods(c.Goods)
	if err != nil {
		return err
	}
	return stockroomOf(ctx, func(room *stockroom.Room) error {
		done, err := room.Receive(ctx, lines, stockroom.Act{By: c.By, Reason: c.Reason, Reference: c.Reference})
		if err != nil {
			return err
		}
		return tellStock(ctx, room, c.JSON, "received", done, lines)
	})
}

// goods reads pairs of an article and a quantity.
func goods(words []string) ([]stockroom.Line, error) {
	if len(words)%2 != 0 {
		return nil, fmt.Errorf("%q has no quantity: give SKU 20 SKU 5", words[len(words)-1])
	}
	var lines []stockroom.Line
	for i := 0; i < len(words); i += 2 {
		quantity, err := strconv.ParseInt(words[i+1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no quantity of %s", words[i+1], words[i])
		}
		lines = append(lines, stockroom.Line{SKU: words[i], Quantity: quantity})
	}
	return lines, nil
}

type adjustStockCommand struct {
	operator
	signed

	SKU        string `arg:"" name:"sku" help:"The article."`
	Difference int64  `name:"by-units" help:"How many units more there are than on record, or less: --by-units=-3." required:""`
	Reference  string `help:"What the count is known by: it is entered once. Without one, as often as the command is given."`
}

// Run implements the command.
func (c *adjustStockCommand) Run(ctx context.Context) error {
	lines := []stockroom.Line{{SKU: c.SKU, Quantity: c.Difference}}
	return stockroomOf(ctx, func(room *stockroom.Room) error {
		done, err := room.Adjust(ctx, lines, stockroom.Act{By: c.By, Reason: c.Reason, Reference: c.Reference})
		if err != nil {
			return err
		}
		return tellStock(ctx, room, c.JSON, "adjusted", done, lines)
	})
}

// tellStock says what was done, and how the articles stand now.
func tellStock(ctx context.Context, room *stockroom.Room, json bool, what string, done stockroom.Done, lines []stockroom.Line) error {
	if json {
		return printJSON(os.Stdout, done)
	}
	if done.Before {
		fmt.Printf("nothing to do: it was %s at %s UTC by %s\n", what, done.At.Format(time.DateTime), done.By)
	} else {
		fmt.Printf("%s, on record as number %d\n", what, done.ID)
	}
	all, err := room.List(ctx)
	if err != nil {
		return err
	}
	var named []stockroom.Article
	for _, line := range lines {
		for _, article := range all {
			if article.SKU == line.SKU {
				named = append(named, article)
			}
		}
	}
	return printStock(os.Stdout, named)
}
