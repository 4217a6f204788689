package function

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
)

func TestShortages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		articles []article
		want     []events.Shortage
	}{
		"plenty":       {[]article{{"A", 2, 100}, {"B", 1, 100}}, nil},
		"the last one": {[]article{{"A", 1, 1}}, nil},
		"one too many": {[]article{{"A", 2, 1}}, []events.Shortage{{SKU: "A", Wanted: 2, Available: 1}}},
		"nothing left": {[]article{{"A", 1, 0}}, []events.Shortage{{SKU: "A", Wanted: 1, Available: 0}}},
		"one of two":   {[]article{{"A", 1, 5}, {"B", 6, 5}}, []events.Shortage{{SKU: "B", Wanted: 6, Available: 5}}},
		"both": {[]article{{"B", 9, 2}, {"A", 9, 3}}, []events.Shortage{
			{SKU: "B", Wanted: 9, Available: 2}, {SKU: "A", Wanted: 9, Available: 3},
		}},
	} {
		if diff := cmp.Diff(test.want, shortages(test.articles)); diff != "" {
			t.Errorf("%s: shortages(%v) (-want +got):\n%s", name, test.articles, diff)
		}
	}
}

func TestAgree(t *testing.T) {
	t.Parallel()
	ordered := []article{{"A", 2, 0}, {"B", 1, 0}}
	for name, test := range map[string]struct {
		lines []events.Line
		want  error
	}{
		"the same":          {[]events.Line{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}}, nil},
		"in another order":  {[]events.Line{{SKU: "B", Quantity: 1}, {SKU: "A", Quantity: 2}}, nil},
		"more than ordered": {[]events.Line{{SKU: "A", Quantity: 3}, {SKU: "B", Quantity: 1}}, errOtherLines},
		"one is missing":    {[]events.Line{{SKU: "A", Quantity: 2}}, errOtherLines},
		"another article":   {[]events.Line{{SKU: "A", Quantity: 2}, {SKU: "C", Quantity: 1}}, errOtherLines},
		"one is added":      {[]events.Line{{SKU: "A", Quantity: 2}, {SKU: "B", Quantity: 1}, {SKU: "C", Quantity: 1}}, errOtherLines},
	} {
		if got := agree(test.lines, ordered); got != test.want { //nolint:errorlint // the very error
			t.Errorf("%s: agree(%v) = %v, want %v", name, test.lines, got, test.want)
		}
	}
}
