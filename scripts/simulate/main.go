// Simulate places realistic orders over the storefront's API, at a steady rate
// or as fast as the shop takes them, waits until each has come to its end, and
// tells how long that took and how the orders ended.
//
// It exits with 1 if an order was refused or did not come to an end.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/shared/config"
)

// options are what can be said on the command line.
type options struct {
	Orders      int           `default:"500" help:"How many orders to place."`
	Rate        float64       `default:"50" help:"Orders per second; 0 for as fast as possible."`
	Concurrency int           `default:"32" help:"How many orders are placed at the same time, at most."`
	Declined    float64       `default:"0.04" help:"Share of customers whose card is declined."`
	Cancelled   float64       `default:"0.02" help:"Share of customers who change their mind at once."`
	Seed        uint64        `default:"1" help:"The same seed places the same orders."`
	Wait        time.Duration `default:"5m" help:"How long to wait for the last order to come to its end."`
}

// settings come from the environment; 'orderflow env' prints them for the system on this machine.
type settings struct {
	Shop        string `env:"SHOP_URL,required"`
	DatabaseURL string `env:"DATABASE_URL,required,notEmpty"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("simulate"), kong.Description("Place realistic orders and follow them to their end."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	set, err := config.Parse[settings](config.Environment())
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, set.DatabaseURL)
	if err != nil {
		return errors.New("connect to Postgres: DATABASE_URL is not a connection string")
	}
	defer pool.Close()
	shop := newShop(set.Shop, o.Concurrency)
	products, err := shop.products(ctx)
	if err != nil {
		return fmt.Errorf("read the catalogue of %s: %w (is the system running? make run)", set.Shop, err)
	}
	start := time.Now()
	placed := place(ctx, shop, newCrowd(o, products), o)
	if len(placed.orders) == 0 {
		return fmt.Errorf("no order was accepted: %w", placed.lastError)
	}
	ends, err := follow(ctx, pool, placed.orders, o.Wait)
	if err != nil {
		return err
	}
	printResult(os.Stdout, placed, ends, time.Since(start))
	return verdict(placed, ends)
}

// verdict says what went wrong for customers: an order that was lost in
// checkout, or one without an end.
func verdict(placed placements, ends outcome) error {
	if placed.refused > 0 {
		return fmt.Errorf("%d orders were refused, the last with: %w", placed.refused, placed.lastError)
	}
	if open := len(placed.orders) - len(ends.latencies) - ends.cancelledTotal(); open > 0 {
		return fmt.Errorf("%d orders have not come to an end", open)
	}
	return nil
}
