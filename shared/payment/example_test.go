package payment_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox"
)

func ExampleClient() {
	dir, err := os.MkdirTemp("", "payments")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	server, err := sandbox.New(sandbox.Options{Dir: dir, Key: "example"})
	if err != nil {
		panic(err)
	}
	defer server.Close()
	web := httptest.NewServer(server)
	defer web.Close()

	ctx := context.Background()
	client := payment.NewClient(web.URL, "example", nil)
	held, _ := client.Authorise(ctx, payment.AuthoriseRequest{
		OrderID: "order-1", Amount: events.Money{Amount: 1250, Currency: "EUR"}, Method: "pm_card_visa",
	})
	fmt.Println(held.State, held.Amount)
	kept, _ := client.Capture(ctx, "order-1")
	fmt.Println(kept.State)
	back, _ := client.Release(ctx, "order-1")
	fmt.Println(back.State)
	for move := range client.Movements(ctx) {
		fmt.Println(move.Seq, move.Kind, move.Amount)
	}
	// Output:
	// authorised EUR 12.50
	// captured
	// refunded
	// 1 authorise EUR 12.50
	// 2 capture EUR 12.50
	// 3 refund EUR 12.50
}
