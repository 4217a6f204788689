package checkout

import (
	"strconv"

	"github.com/orderflow-project/orderflow/events"
)

// Article is what the catalogue says of one SKU.
type Article struct {
	SKU   string
	Name  string
	Price events.Money
}

// Price puts the catalogue's prices to a request's lines and sums them up.
// Whatever the catalogue doesn't sell is a problem.
func Price(lines []Line, catalogue map[string]Article) ([]events.Line, events.Money, []Problem) {
	c := &checker{}
	var total events.Money
	priced := make([]events.Line, 0, len(lines))
	for i, line := range lines {
		article, sold := catalogue[line.SKU]
		if !sold {
			c.add("/lines/"+strconv.Itoa(i)+"/sku", "is not for sale")
			continue
		}
		if total.Currency == "" {
			total.Currency = article.Price.Currency
		}
		sum, err := addLine(total, article.Price, line.Quantity)
		if err != nil {
			c.add("/lines/"+strconv.Itoa(i), "can't be ordered together with the lines before it")
			continue
		}
		total = sum
		priced = append(priced, events.Line{SKU: line.SKU, Quantity: line.Quantity, UnitPrice: article.Price})
	}
	return priced, total, c.problems
}

// addLine fails for a second currency and beyond 64 bits.
func addLine(total, price events.Money, quantity int) (events.Money, error) {
	amount, err := price.Times(quantity)
	if err != nil {
		return events.Money{}, err
	}
	return total.Add(amount)
}
