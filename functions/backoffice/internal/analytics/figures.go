package analytics

import (
	"cmp"
	"slices"
	"time"
)

// Count is one figure of a stretch of time.
type Count struct {
	Start             time.Time
	Metric, Dimension string
	Value             int64
}

// Figures are what happened in a stretch of time.
type Figures struct {
	OrdersPlaced  int64 `json:"orders_placed"`
	OrdersShipped int64 `json:"orders_shipped"`
	// OrdersCancelled is by reason.
	OrdersCancelled map[string]int64 `json:"orders_cancelled"`
	// ItemsSold is by SKU, and all of them under "total", which is no SKU: those
	// are in capital letters.
	ItemsSold map[string]int64 `json:"items_sold"`
	// Revenue is by currency, in minor units.
	Revenue map[string]int64 `json:"revenue"`
	// ItemsReturned is by SKU, and all of them under "total"; Refunded by currency, in
	// minor units. What was sold stays sold.
	ItemsReturned map[string]int64 `json:"items_returned"`
	Refunded      map[string]int64 `json:"refunded"`
}

// Bucket are the figures of one minute or hour.
type Bucket struct {
	Start time.Time `json:"start"`
	Figures
}

// Summary are the figures of a period.
type Summary struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Totals Figures   `json:"totals"`
	// PerMinute is nil where the period is too long for it. Minutes and hours in
	// which nothing happened are left out.
	PerMinute []Bucket `json:"per_minute"`
	PerHour   []Bucket `json:"per_hour"`
}

const totalItems = "total"

// NewFigures are those of a time in which nothing happened.
func NewFigures() Figures {
	return Figures{
		OrdersCancelled: map[string]int64{}, ItemsSold: map[string]int64{totalItems: 0}, Revenue: map[string]int64{},
		ItemsReturned: map[string]int64{totalItems: 0}, Refunded: map[string]int64{},
	}
}

// Add adds a count. One that isn’t known is left out: a later version counts it.
func (f *Figures) Add(c Count) {
	switch c.Metric {
	case "orders_placed":
		f.OrdersPlaced += c.Value
	case "orders_shipped":
		f.OrdersShipped += c.Value
	case "orders_cancelled":
		f.OrdersCancelled[c.Dimension] += c.Value
	case "items_sold":
		f.ItemsSold[c.Dimension] += c.Value
		f.ItemsSold[totalItems] += c.Value
	case "revenue":
		f.Revenue[c.Dimension] += c.Value
	case "items_returned":
		f.ItemsReturned[c.Dimension] += c.Value
		f.ItemsReturned[totalItems] += c.Value
	case "refunded":
		f.Refunded[c.Dimension] += c.Value
	}
}

// Summarise adds up the counts of a period, which come in the order of their
// time: by minute if the period is shown like that, by hour otherwise.
func Summarise(period Period, counts []Count) Summary {
	s := Summary{From: period.From, To: period.To, Totals: NewFigures(), PerHour: []Bucket{}}
	if period.ByMinute {
		s.PerMinute = []Bucket{}
	}
	for _, c := range counts {
		s.Totals.Add(c)
		s.PerHour = addTo(s.PerHour, c.Start.UTC().Truncate(time.Hour), c)
		if period.ByMinute {
			s.PerMinute = addTo(s.PerMinute, c.Start.UTC(), c)
		}
	}
	return s
}

// addTo adds to the last bucket, or begins another.
func addTo(buckets []Bucket, start time.Time, c Count) []Bucket {
	if len(buckets) == 0 || !buckets[len(buckets)-1].Start.Equal(start) {
		buckets = append(buckets, Bucket{Start: start, Figures: NewFigures()})
	}
	buckets[len(buckets)-1].Add(c)
	return buckets
}

// Cancelled is how many orders were cancelled, for any reason.
func (f Figures) Cancelled() int64 {
	var all int64
	for _, n := range f.OrdersCancelled {
		all += n
	}
	return all
}

// Items is how many were sold, of all articles.
func (f Figures) Items() int64 { return f.ItemsSold[totalItems] }

// Sold is how many of an article were sold.
type Sold struct {
	SKU   string
	Units int64
}

// Top are the articles that sold most, most first.
func (f Figures) Top(n int) []Sold {
	var all []Sold
	for sku, units := range f.ItemsSold {
		if sku != totalItems {
			all = append(all, Sold{sku, units})
		}
	}
	slices.SortFunc(all, func(a, b Sold) int { return cmp.Or(cmp.Compare(b.Units, a.Units), cmp.Compare(a.SKU, b.SKU)) })
	return all[:min(n, len(all))]
}
