package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// product is what the shop's catalogue says of an article.
type product struct {
	SKU       string `json:"sku"`
	Available int    `json:"available"`
}

type line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

type customer struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

type address struct {
	Line1      string `json:"line1"`
	City       string `json:"city"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

// basket is an order as it is posted, and whether its customer will regret it.
type basket struct {
	Customer customer `json:"customer"`
	Address  address  `json:"shipping_address"`
	Lines    []line   `json:"lines"`
	Payment  string   `json:"payment_method"`

	regretted bool
	key       string // Idempotency-Key
}

// crowd makes up customers. The same seed makes the same ones in the same order.
type crowd struct {
	options
	products []product
	mu       sync.Mutex
	random   *rand.Rand
	popular  *rand.Zipf
	run      uint64
}

func newCrowd(o options, products []product) *crowd {
	random := rand.New(rand.NewPCG(o.Seed, o.Seed)) //nolint:gosec // made-up customers, and repeatable
	return &crowd{
		options: o, products: products, random: random,
		// A few articles are in most baskets, as in any shop.
		popular: rand.NewZipf(random, 1.3, 2, uint64(len(products)-1)), //nolint:gosec // a shop has at least one product
		// The seed repeats, the keys must not: the orders of an earlier run are no answer.
		run: rand.Uint64(), //nolint:gosec // needs to differ, not to be secret
	}
}

// next is the n-th customer's basket.
func (c *crowd) next(n int) basket {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := basket{
		Customer: c.customer(n), Address: c.address(), Lines: c.lines(), Payment: c.payment(),
		regretted: c.random.Float64() < c.Cancelled,
		key:       fmt.Sprintf("simulate-%016x-%d", c.run, n),
	}
	return b
}

func (c *crowd) lines() []line {
	var lines []line
	chosen := map[string]bool{}
	for range 1 + c.random.IntN(3) {
		p := c.products[c.popular.Uint64()]
		if chosen[p.SKU] {
			continue
		}
		chosen[p.SKU] = true
		lines = append(lines, line{SKU: p.SKU, Quantity: 1 + c.random.IntN(3)})
	}
	return lines
}

func (c *crowd) payment() string {
	switch at := c.random.Float64(); {
	case at < c.Declined/2:
		return "pm_card_visa_chargeDeclined"
	case at < c.Declined:
		return "pm_card_visa_chargeDeclinedInsufficientFunds"
	default:
		return "pm_card_visa"
	}
}

func (c *crowd) customer(n int) customer {
	first := pick(c.random, "Ada", "Bruno", "Chiara", "Dmitri", "Élodie", "Finn", "Grażyna", "Hüseyin", "Inés", "Jürgen", "Kaito", "Łucja")
	last := pick(c.random, "Almeida", "Berg", "Castellano", "Dahl", "Eriksen", "Fuchs", "García", "Hofer", "Ibsen", "Janssen", "Novák", "O’Brien")
	return customer{Name: first + " " + last, Email: fmt.Sprintf("customer-%d@example.com", n)}
}

func (c *crowd) address() address {
	place := pick(c.random,
		address{City: "Hamburg", PostalCode: "20095", Country: "DE"}, address{City: "Lyon", PostalCode: "69001", Country: "FR"},
		address{City: "Łódź", PostalCode: "90-001", Country: "PL"}, address{City: "Porto", PostalCode: "4000-008", Country: "PT"},
		address{City: "Göteborg", PostalCode: "411 03", Country: "SE"}, address{City: "Utrecht", PostalCode: "3511 AA", Country: "NL"})
	place.Line1 = fmt.Sprintf("%d %s", 1+c.random.IntN(180), pick(c.random, "Harbour Street", "Mill Lane", "Station Road", "Orchard Way"))
	return place
}

func pick[T any](random *rand.Rand, from ...T) T {
	return from[random.IntN(len(from))]
}
