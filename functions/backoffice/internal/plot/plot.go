// Package plot draws figures over time, as SVG: a picture that the page shows by its
// address, so that no style stands in the page itself.
package plot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-analyze/charts"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/analytics"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
)

// Plot is one picture.
type Plot struct {
	// Name is its address, Title what it shows.
	Name, Title string
	// data picks the series of the picture, by their names.
	data func(s book.Series) (names []string, values [][]float64)
	bars bool
}

// Plots are those that there are.
func Plots() []Plot {
	return []Plot{
		{Name: "orders", Title: "Orders", data: orders},
		{Name: "revenue", Title: "Revenue", data: revenue},
		{Name: "items", Title: "Items sold", data: items, bars: true},
		{Name: "cancellations", Title: "Cancellations by reason", data: cancellations, bars: true},
	}
}

// Find finds a plot by its name.
func Find(name string) (Plot, bool) {
	i := slices.IndexFunc(Plots(), func(p Plot) bool { return p.Name == name })
	if i < 0 {
		return Plot{}, false
	}
	return Plots()[i], true
}

func each(s book.Series, value func(analytics.Figures) int64) []float64 {
	values := make([]float64, 0, len(s.Buckets))
	for _, bucket := range s.Buckets {
		values = append(values, float64(value(bucket.Figures)))
	}
	return values
}

func orders(s book.Series) ([]string, [][]float64) {
	return []string{"placed", "shipped", "cancelled"}, [][]float64{
		each(s, func(f analytics.Figures) int64 { return f.OrdersPlaced }),
		each(s, func(f analytics.Figures) int64 { return f.OrdersShipped }),
		each(s, func(f analytics.Figures) int64 { return f.Cancelled() }),
	}
}

func items(s book.Series) ([]string, [][]float64) {
	return []string{"items"}, [][]float64{each(s, analytics.Figures.Items)}
}

// minor is how many minor units make a unit of most currencies, which a picture can
// do with; figures are in the table beside it.
const minor = 100

func revenue(s book.Series) ([]string, [][]float64) {
	names, values := byName(s, s.Totals.Revenue, func(f analytics.Figures) map[string]int64 { return f.Revenue })
	for _, series := range values {
		for i := range series {
			series[i] /= minor
		}
	}
	return names, values
}

func cancellations(s book.Series) ([]string, [][]float64) {
	names, values := byName(s, s.Totals.OrdersCancelled, func(f analytics.Figures) map[string]int64 { return f.OrdersCancelled })
	for i, name := range names {
		names[i] = strings.ReplaceAll(name, "_", " ")
	}
	return names, values
}

// byName makes a series of each that there is; one of nothing where there is none.
func byName(s book.Series, all map[string]int64, of func(analytics.Figures) map[string]int64) ([]string, [][]float64) {
	names := slices.Sorted(maps.Keys(all))
	if len(names) == 0 {
		names = []string{"none"}
	}
	var values [][]float64
	for _, name := range names {
		values = append(values, each(s, func(f analytics.Figures) int64 { return of(f)[name] }))
	}
	return names, values
}

const (
	width, height = 720, 260
	fontSize      = 13
	// labels is how many times are written below a picture.
	labels = 7
	// sparse is up to how many points each is marked.
	sparse = 31
)

// Draw draws a series, for a page that is dark or not.
func (p Plot) Draw(s book.Series, dark bool) ([]byte, error) {
	names, values := p.data(s)
	look := theme(dark)
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height, Theme: look})
	var err error
	if p.bars {
		option := bars(s, names, values)
		option.Theme = look
		err = painter.BarChart(option)
	} else {
		option := lines(s, names, values)
		option.Theme = look
		err = painter.LineChart(option)
	}
	if err != nil {
		return nil, fmt.Errorf("draw %s: %w", p.Name, err)
	}
	drawn, err := painter.Bytes()
	if err != nil {
		return nil, fmt.Errorf("draw %s: %w", p.Name, err)
	}
	return drawn, nil
}

func lines(s book.Series, names []string, values [][]float64) charts.LineChartOption {
	option := charts.NewLineChartOptionWithData(values)
	option.Legend, option.XAxis, option.YAxis = legend(names), axis(s), upwards()
	option.LineStrokeWidth = 2
	if len(s.Buckets) > sparse {
		option.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	}
	return option
}

func bars(s book.Series, names []string, values [][]float64) charts.BarChartOption {
	option := charts.NewBarChartOptionWithData(values)
	option.Legend, option.CategoryAxis, option.ValueAxis = legend(names), axis(s), upwards()
	option.StackSeries = new(true)
	return option
}

func legend(names []string) charts.LegendOption {
	return charts.LegendOption{SeriesNames: names, FontStyle: charts.FontStyle{FontSize: fontSize}}
}

func axis(s book.Series) charts.CategoryAxisOption {
	format := "15:04"
	switch {
	case s.Span.Unit == "day":
		format = "2 Jan"
	case s.Span.Length > 2*24*time.Hour:
		format = "2 Jan 15:04"
	}
	option := charts.CategoryAxisOption{LabelCount: min(labels, len(s.Buckets)), LabelFontStyle: charts.FontStyle{FontSize: fontSize}}
	for _, bucket := range s.Buckets {
		option.Labels = append(option.Labels, bucket.Start.UTC().Format(format))
	}
	return option
}

// upwards begins at nothing: a picture that doesn't makes much of little.
func upwards() []charts.ValueAxisOption {
	return []charts.ValueAxisOption{{
		Min: new(0.0), LabelCount: 5, LabelFontStyle: charts.FontStyle{FontSize: fontSize},
		ValueFormatter: short,
	}}
}

// short writes 12,300 as 12.3k.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return strings.TrimSuffix(strconv.FormatFloat(value/1e6, 'f', 1, 64), ".0") + "M"
	case value >= 1e3:
		return strings.TrimSuffix(strconv.FormatFloat(value/1e3, 'f', 1, 64), ".0") + "k"
	default:
		return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0")
	}
}

// theme has the colours of the pages, and those of the series apart from each other
// for people who see no red or no green.
func theme(dark bool) charts.ColorPalette {
	option := charts.ThemeOption{
		BackgroundColor: charts.ColorFromHex("#ffffff"), TextColor: charts.ColorFromHex("#4a5160"), AxisStrokeColor: charts.ColorFromHex("#8a91a0"),
		AxisSplitLineColor: charts.ColorFromHex("#e1e4ea"), SeriesColors: colours("#0b62c4", "#b35900", "#7a2e9d", "#00795e", "#c0265e"),
	}
	if dark {
		option.IsDarkMode, option.TextColor = true, charts.ColorFromHex("#b9c0cf")
		option.BackgroundColor = charts.ColorFromHex("#1a202b")
		option.AxisSplitLineColor, option.AxisStrokeColor = charts.ColorFromHex("#333a48"), charts.ColorFromHex("#7d8596")
		option.SeriesColors = colours("#6db3ff", "#ffb057", "#cf9bf0", "#55d6b4", "#ff8cb3")
	}
	return charts.MakeTheme(option)
}

func colours(hex ...string) []charts.Color {
	var all []charts.Color
	for _, one := range hex {
		all = append(all, charts.ColorFromHex(one))
	}
	return all
}
