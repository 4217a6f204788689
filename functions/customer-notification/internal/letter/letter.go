// Package letter writes what a customer is told about an order: a subject, and
// the same words as HTML and as plain text. It is pure; nothing here reads a
// clock, a database or the network.
//
// The look is one layout for all languages. The words of a language are a
// folder of templates named for its tag; a further language is a further folder.
package letter

import (
	"fmt"
	"strings"

	"github.com/orderflow-project/orderflow/events"
)

// Change is what happened to an order that its customer is told about. Its
// value is the name of the event, but for Link: "order-returned/2" is an order's second
// return.
type Change string

// kind is what sort of change it is, whichever time it happens.
func (c Change) kind() Change { return Change(events.TopicOf(string(c))) }

// The changes that are worth a letter.
const (
	Placed    Change = "order-placed"
	Shipped   Change = "order-shipped"
	Cancelled Change = "order-cancelled"
	Returned  Change = "order-returned"
	// Link is no change: the customer has asked for the link to the order.
	Link Change = "order-link"
)

// Changes lists what there are letters for.
func Changes() []Change { return []Change{Placed, Shipped, Cancelled, Returned, Link} }

// News is what is to be told, besides the order itself.
type News struct {
	Change Change
	// Carrier and TrackingNumber are there for Shipped.
	Carrier, TrackingNumber string
	// Reason is there for Cancelled, and Short where stock was the reason.
	Reason events.Reason
	Short  []events.Shortage
	// ReturnReason, Returned and Refund are there for Returned.
	ReturnReason events.ReturnReason
	Returned     []events.ReturnedLine
	Refund       events.Money
}

// Line is one article of the order, by the name that the customer saw.
type Line struct {
	SKU, Name string
	Quantity  int
	UnitPrice events.Money
}

// Order is what a letter says about an order. Name and address are what the
// customer typed: anything at all.
type Order struct {
	Number string
	// Link leads to the order's page, without a password.
	Link    string
	Name    string
	Address Address
	Lines   []Line
	Total   events.Money
}

// Address is where the parcel goes.
type Address struct {
	Line1, Line2, City, PostalCode, Country string
}

// Letter is ready to be sent.
type Letter struct {
	Subject, Text, HTML string
}

// said is what the words of a language may use.
type said struct {
	News

	Name, Number, Total, Refund string
	Short                       []shortLine
	Returned                    []returnedLine
}

type returnedLine struct {
	Name     string
	Quantity int
}

type shortLine struct {
	Name              string
	Wanted, Available int
}

// laidOut is what the layouts show: the words, and the order's figures.
type laidOut struct {
	Language, Number, Link           string
	Subject, Preheader, Heading      string
	Body                             []string
	AsideTitle                       string
	Aside                            []string
	Facts                            []fact
	Button                           string
	Lines                            []shownLine
	TotalLabel, Total                string
	AddressLabel                     string
	Address                          []string
	Shop, Tagline, Footer, OrderWord string
}

type fact struct{ Label, Value string }

type shownLine struct {
	Name     string
	Quantity int
	Price    string
}

// Write makes the letter that tells the news of an order.
func (w *Writer) Write(news News, order Order) (Letter, error) {
	words, known := w.words[news.Change.kind()]
	if !known {
		return Letter{}, fmt.Errorf("write letter: nothing to say about %q", news.Change)
	}
	lines, err := w.lines(order.Lines)
	if err != nil {
		return Letter{}, fmt.Errorf("write letter: %w", err)
	}
	speech := &speech{words: words, said: said{
		News: plainNews(news), Name: PlainName(order.Name), Number: order.Number, Total: w.language.Money(order.Total),
		Short: shortLines(news.Short, order.Lines), Refund: w.language.Money(news.Refund), Returned: returnedLines(news.Returned, order.Lines),
	}}
	page := speech.page()
	page.Language, page.Number, page.Link = w.language.Code(), order.Number, order.Link
	page.Lines, page.Total = lines, w.language.Money(order.Total)
	if kind := news.Change.kind(); kind == Placed || kind == Shipped {
		page.Address = w.address(order)
	}
	if speech.err != nil {
		return Letter{}, fmt.Errorf("write letter: %w", speech.err)
	}
	return w.layOut(page)
}

// plainNews makes what a carrier names as harmless as what customers type.
func plainNews(news News) News {
	news.Carrier, news.TrackingNumber = plainText(news.Carrier), plainText(news.TrackingNumber)
	return news
}

func shortLines(short []events.Shortage, lines []Line) []shortLine {
	names := map[string]string{}
	for _, line := range lines {
		names[line.SKU] = line.Name
	}
	var told []shortLine
	for _, s := range short {
		if name, ordered := names[s.SKU]; ordered {
			told = append(told, shortLine{Name: plainText(name), Wanted: s.Wanted, Available: s.Available})
		}
	}
	return told
}

// returnedLines are the articles that came back, each once, whatever state it was in.
func returnedLines(returned []events.ReturnedLine, lines []Line) []returnedLine {
	var told []returnedLine
	for _, line := range lines {
		back := returnedLine{Name: plainText(line.Name)}
		for _, one := range returned {
			if one.SKU == line.SKU {
				back.Quantity += one.Quantity
			}
		}
		if back.Quantity > 0 {
			told = append(told, back)
		}
	}
	return told
}

func (w *Writer) lines(lines []Line) ([]shownLine, error) {
	var shown []shownLine
	for _, line := range lines {
		sum, err := line.UnitPrice.Times(line.Quantity)
		if err != nil {
			return nil, err
		}
		shown = append(shown, shownLine{Name: plainText(line.Name), Quantity: line.Quantity, Price: w.language.Money(sum)})
	}
	return shown, nil
}

// address is written the way a label is, without the rows that are empty.
func (w *Writer) address(order Order) []string {
	a := order.Address
	var rows []string
	for _, row := range []string{
		PlainName(order.Name), plainText(a.Line1), plainText(a.Line2),
		strings.TrimSpace(plainText(a.PostalCode) + " " + plainText(a.City)), w.country(a.Country),
	} {
		if row != "" {
			rows = append(rows, row)
		}
	}
	return rows
}
