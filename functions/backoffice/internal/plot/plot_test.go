package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/plot"
)

func series(buckets int) book.Series {
	s := book.Series{Span: book.SpanOf("quarter"), Totals: analytics.NewFigures()}
	begin := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	for i := range buckets {
		bucket := analytics.Bucket{Start: begin.AddDate(0, 0, i), Figures: analytics.NewFigures()}
		for _, count := range []analytics.Count{
			{Metric: "orders_placed", Value: int64(1000 * i)}, {Metric: "orders_shipped", Value: int64(900 * i)}, {Metric: "revenue", Dimension: "EUR", Value: int64(1e8 * i)},
			{Metric: "orders_cancelled", Dimension: "out_of_stock", Value: int64(i)}, {Metric: "items_sold", Dimension: "CUP", Value: int64(7 * i)},
		} {
			bucket.Add(count)
			s.Totals.Add(count)
		}
		s.Buckets = append(s.Buckets, bucket)
	}
	return s
}

func TestPlotsAreSVG(t *testing.T) {
	t.Parallel()
	for _, one := range plot.Plots() {
		for _, buckets := range []int{1, 24, 366} {
			for _, dark := range []bool{false, true} {
				drawn, err := one.Draw(series(buckets), dark)
				if err != nil {
					t.Fatalf("%s of %d: %v", one.Name, buckets, err)
				}
				for decoder := xml.NewDecoder(strings.NewReader(string(drawn))); ; {
					if _, err := decoder.Token(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						t.Fatalf("%s of %d is no XML: %v", one.Name, buckets, err)
					}
				}
				if light := strings.Contains(string(drawn), "fill:white"); light == dark {
					t.Errorf("%s: dark %t has a white ground: %t", one.Name, dark, light)
				}
			}
		}
	}
}

func TestPlotsOfNothing(t *testing.T) {
	t.Parallel()
	empty := book.Series{Span: book.SpanOf("hour"), Totals: analytics.NewFigures(), Buckets: []analytics.Bucket{{Figures: analytics.NewFigures()}, {Figures: analytics.NewFigures()}}}
	for _, one := range plot.Plots() {
		if drawn, err := one.Draw(empty, false); err != nil || !strings.Contains(string(drawn), "<svg") {
			t.Errorf("%s: %v", one.Name, err)
		}
	}
}
