package analytics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
)

func at(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err) // a test's own literal
	}
	return parsed.UTC()
}

func TestParsePeriod(t *testing.T) {
	t.Parallel()
	now := at("2026-11-22T12:34:56.789Z")
	for _, test := range []struct {
		from, to string
		want     analytics.Period
	}{
		{"", "", analytics.Period{From: at("2026-11-21T12:34:00Z"), To: at("2026-11-22T12:35:00Z"), ByMinute: true}},
		{"", "2026-01-02T00:00:00Z", analytics.Period{From: at("2026-01-01T00:00:00Z"), To: at("2026-01-02T00:00:00Z"), ByMinute: true}},
		{"2026-11-22T12:00:00+02:00", "", analytics.Period{From: at("2026-11-22T10:00:00Z"), To: at("2026-11-22T12:35:00Z"), ByMinute: true}},
		{"2026-11-22T10:00:59Z", "2026-11-22T10:01:01Z", analytics.Period{From: at("2026-11-22T10:00:00Z"), To: at("2026-11-22T10:02:00Z"), ByMinute: true}},
		{"2026-11-20T00:00:00Z", "2026-11-21T00:00:01Z", analytics.Period{From: at("2026-11-20T00:00:00Z"), To: at("2026-11-21T00:01:00Z")}},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:01Z", analytics.Period{From: at("0001-01-01T00:00:00Z"), To: at("0001-01-01T00:01:00Z"), ByMinute: true}},
		{"9998-12-31T23:59:59Z", "9998-12-31T23:59:59.9Z", analytics.Period{From: at("9998-12-31T23:59:00Z"), To: at("9999-01-01T00:00:00Z"), ByMinute: true}},
		{"2026-08-22T00:00:00Z", "2026-11-22T00:00:00Z", analytics.Period{From: at("2026-08-22T00:00:00Z"), To: at("2026-11-22T00:00:00Z")}},
	} {
		got, err := analytics.ParsePeriod(test.from, test.to, now)
		if err != nil {
			t.Errorf("ParsePeriod(%q, %q): %v", test.from, test.to, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("ParsePeriod(%q, %q) (-want +got):\n%s", test.from, test.to, diff)
		}
	}
}

func TestParsePeriodRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ from, to, want string }{
		{"yesterday", "", "from: This must be a time"},
		{"", "2026-11-22", "to: This must be a time"},
		{"2026-13-22T00:00:00Z", "", "from: This must be a time"},
		{"2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z", "from: This must be before"},
		{"2026-11-22T10:00:01Z", "2026-11-22T10:00:00Z", "from: This must be before"},
		{"2027-01-01T00:00:00Z", "", "from: This must be before"},
		{"2026-08-21T23:59:59Z", "2026-11-22T00:00:00Z", "from: The period may be 92 days long"},
		{"", "0000-01-01T00:00:00Z", "to: This must be in the years"},
		{"", "0001-01-01T12:00:00Z", "from: This must be in the years"}, // a day earlier
		{"0001-01-01T00:00:00+01:00", "", "from: This must be in the years"},
		{"9999-12-31T23:59:59Z", "9999-12-31T23:59:59.9Z", "from: This must be in the years"},
		{"9998-12-31T23:59:59Z", "9999-01-01T00:00:00Z", "to: This must be in the years"},
		{"0001-01-01T00:00:00Z", "9998-12-31T23:59:59Z", "from: The period may be 92 days long"},
	} {
		_, err := analytics.ParsePeriod(test.from, test.to, at("2026-11-22T12:00:00Z"))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParsePeriod(%q, %q) = %v, want %q", test.from, test.to, err, test.want)
		}
	}
}

func TestSummarise(t *testing.T) {
	t.Parallel()
	first, second, third := at("2026-11-22T10:58:00Z"), at("2026-11-22T10:59:00Z"), at("2026-11-22T11:00:00Z")
	got := analytics.Summarise(analytics.Period{From: first, To: third.Add(time.Minute), ByMinute: true}, []analytics.Count{
		{Start: first, Metric: "orders_placed", Value: 3},
		{Start: second, Metric: "items_sold", Dimension: "CUP", Value: 2},
		{Start: second, Metric: "items_sold", Dimension: "LAMP", Value: 1},
		{Start: second, Metric: "orders_shipped", Value: 1},
		{Start: second, Metric: "revenue", Dimension: "EUR", Value: 3300},
		{Start: second, Metric: "items_returned", Dimension: "CUP", Value: 1},
		{Start: second, Metric: "refunded", Dimension: "EUR", Value: 800},
		{Start: third, Metric: "orders_cancelled", Dimension: "out_of_stock", Value: 1},
		{Start: third, Metric: "a figure of the future", Value: 7},
	})
	none, nothing := map[string]int64{}, map[string]int64{"total": 0}
	placed := analytics.Figures{OrdersPlaced: 3, OrdersCancelled: none, ItemsSold: nothing, Revenue: none, ItemsReturned: nothing, Refunded: none}
	shipped := analytics.Figures{
		OrdersShipped: 1, OrdersCancelled: none, ItemsSold: map[string]int64{"CUP": 2, "LAMP": 1, "total": 3}, Revenue: map[string]int64{"EUR": 3300},
		ItemsReturned: map[string]int64{"CUP": 1, "total": 1}, Refunded: map[string]int64{"EUR": 800},
	}
	cancelled := analytics.Figures{OrdersCancelled: map[string]int64{"out_of_stock": 1}, ItemsSold: nothing, Revenue: none, ItemsReturned: nothing, Refunded: none}
	both, all := shipped, shipped
	both.OrdersPlaced, all.OrdersPlaced, all.OrdersCancelled = 3, 3, cancelled.OrdersCancelled
	want := analytics.Summary{
		From: first, To: third.Add(time.Minute), Totals: all,
		PerMinute: []analytics.Bucket{{Start: first, Figures: placed}, {Start: second, Figures: shipped}, {Start: third, Figures: cancelled}},
		PerHour:   []analytics.Bucket{{Start: at("2026-11-22T10:00:00Z"), Figures: both}, {Start: third, Figures: cancelled}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Summarise (-want +got):\n%s", diff)
	}
}
