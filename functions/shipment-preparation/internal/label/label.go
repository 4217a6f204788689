// Package label draws the label that goes onto a parcel: 4 by 6 inches, with
// the address, a Code 128 of the tracking number, a QR code of order and
// tracking number, and the packing list, which goes on over as many pages as
// it needs.
//
// The same label always comes to the same bytes, so that storing it again
// changes nothing.
package label

import (
	"bytes"
	"fmt"
	"time"

	"codeberg.org/go-pdf/fpdf"
)

// Label is what is printed.
type Label struct {
	Carrier, TrackingNumber string
	OrderNumber             string
	// Date is the day on the label.
	Date  time.Time
	To    Address
	Items []Item
}

// Address is where the parcel goes.
type Address struct {
	Name, Line1, Line2, City, PostalCode string
	// Country is an ISO 3166 code.
	Country string
}

// Item is a line of the packing list.
type Item struct {
	SKU, Name string
	Quantity  int
}

// The page, in millimetres.
const (
	pageWidth, pageHeight = 101.6, 152.4
	margin                = 5.0
	innerWidth            = pageWidth - 2*margin
)

const (
	regular = ""
	bold    = "B"
)

// sheet is a document being drawn.
type sheet struct {
	pdf    *fpdf.Fpdf
	script script
	// lossy says that a part of the text could not be printed.
	lossy bool
}

// Render draws a label as PDF.
func Render(l Label) ([]byte, error) {
	s, err := newSheet(l)
	if err != nil {
		return nil, err
	}
	s.pdf.AddPage()
	s.head(l)
	s.address(l.To)
	if err := s.tracking(l); err != nil {
		return nil, err
	}
	if err := s.order(l); err != nil {
		return nil, err
	}
	s.packingList(l)
	var out bytes.Buffer
	if err := s.pdf.Output(&out); err != nil {
		return nil, fmt.Errorf("write label: %w", err)
	}
	return out.Bytes(), nil
}

func newSheet(l Label) (*sheet, error) {
	fallback, err := newScript(l.To.Country)
	if err != nil {
		return nil, err
	}
	pdf := fpdf.NewCustom(&fpdf.InitType{UnitStr: "mm", Size: fpdf.SizeType{Wd: pageWidth, Ht: pageHeight}})
	pdf.SetMargins(0, 0, 0)
	pdf.SetAutoPageBreak(false, 0)
	pdf.SetCreationDate(l.Date)
	pdf.SetModificationDate(l.Date)
	pdf.SetCatalogSort(true)
	pdf.SetTitle("Parcel "+l.TrackingNumber, true)
	pdf.SetCreator("Orderflow", true)
	return &sheet{pdf: pdf, script: fallback}, nil
}

const headHeight = 13.0

// head is the black band: who carries it, and the country it goes to, big
// enough for whoever sorts parcels.
func (s *sheet) head(l Label) {
	s.pdf.SetFillColor(0, 0, 0)
	s.pdf.Rect(0, 0, pageWidth, headHeight, "F")
	s.pdf.SetTextColor(255, 255, 255)
	s.pdf.SetFillColor(255, 255, 255)
	s.write(margin, 8.8, bold, 15, l.Carrier)
	s.writeRight(9.6, bold, 20, l.To.Country)
	s.pdf.SetTextColor(0, 0, 0)
	s.pdf.SetFillColor(0, 0, 0)
}

const (
	addressTop    = headHeight + 5
	addressBottom = 54.0
)

// address is set as large as it fits.
func (s *sheet) address(to Address) {
	s.caption(addressTop, "SHIP TO")
	lines := []styled{{bold, 1.15, to.Name}, {regular, 1, to.Line1}}
	if to.Line2 != "" {
		lines = append(lines, styled{regular, 1, to.Line2})
	}
	// Each by itself: a town of which nothing is left must not pass for its postal code.
	town := s.printable(to.PostalCode) + "  " + s.printable(to.City)
	lines = append(lines, styled{bold, 1.15, town}, styled{regular, 1, to.Country})
	s.block(addressTop+1.5, addressBottom-2, lines)
	if s.lossy {
		s.writeRight(addressTop, regular, 6.5, "Can't be printed in full: see the order.")
	}
	s.rule(addressBottom, 0.6)
}

const (
	trackingBarTop    = addressBottom + 3.5
	trackingBarHeight = 20.0
	trackingBottom    = 86.0
)

func (s *sheet) tracking(l Label) error {
	if err := s.code128(trackingBarTop, trackingBarHeight, l.TrackingNumber); err != nil {
		return err
	}
	s.writeCentred(trackingBarTop+trackingBarHeight+5.5, bold, 11.5, Grouped(l.TrackingNumber))
	s.rule(trackingBottom, 0.6)
	return nil
}

const (
	orderTop    = trackingBottom + 2
	orderBottom = 112.0
	qrSize      = 22.0
)

// order says which order is in the parcel, to people and to scanners.
func (s *sheet) order(l Label) error {
	if err := s.qr(pageWidth-margin-qrSize, orderTop, qrSize, l.OrderNumber+"/"+l.TrackingNumber); err != nil {
		return err
	}
	s.caption(orderTop+3, "ORDER")
	s.write(margin, orderTop+9.5, bold, 15, l.OrderNumber)
	units := 0
	for _, item := range l.Items {
		units += item.Quantity
	}
	s.caption(orderTop+15.5, "PACKED")
	s.write(margin, orderTop+20, regular, 9, fmt.Sprintf("%s   %d articles, %d units", l.Date.UTC().Format("2 January 2006"), len(l.Items), units))
	s.rule(orderBottom, 0.6)
	return nil
}
