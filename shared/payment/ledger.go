package payment

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Movements walks the provider's ledger from the beginning, page by page, for
// who compares it with our own books. It ends after an error.
func (c *Client) Movements(ctx context.Context) iter.Seq2[Movement, error] {
	return func(yield func(Movement, error) bool) {
		page := MovementPage{More: true}
		for page.More {
			path := "/v1/ledger?after=" + strconv.FormatUint(page.Next, 10)
			page = MovementPage{}
			if err := c.call(ctx, http.MethodGet, path, "", nil, &page); err != nil {
				yield(Movement{}, fmt.Errorf("read payment provider's ledger: %w", err))
				return
			}
			if !yieldAll(page.Movements, yield) {
				return
			}
		}
	}
}

// Payments walks all payments by order id, page by page. It ends after an error.
func (c *Client) Payments(ctx context.Context) iter.Seq2[Payment, error] {
	return func(yield func(Payment, error) bool) {
		page := Page{More: true}
		for page.More {
			path := "/v1/payments?after=" + url.QueryEscape(page.Next)
			page = Page{}
			if err := c.call(ctx, http.MethodGet, path, "", nil, &page); err != nil {
				yield(Payment{}, fmt.Errorf("list payments: %w", err))
				return
			}
			if !yieldAll(page.Payments, yield) {
				return
			}
		}
	}
}

func yieldAll[T any](items []T, yield func(T, error) bool) bool {
	for _, item := range items {
		if !yield(item, nil) {
			return false
		}
	}
	return true
}
