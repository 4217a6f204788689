package label

import "fmt"

const (
	rowHeight    = 3.9
	rowSize      = 8.0
	quantityEdge = 8.0
	skuEdge      = pageWidth - margin - 27
	listBottom   = pageHeight - 4.5
)

// packingList lists every item, however many there are: on the label as far as
// there is room, then on further pages.
func (s *sheet) packingList(l Label) {
	page, pages := 1, pagesFor(len(l.Items))
	y := s.listHead(orderBottom, l, page, pages)
	for _, item := range l.Items {
		if y+rowHeight > listBottom {
			s.pdf.AddPage()
			page++
			y = s.listHead(0, l, page, pages)
		}
		y += rowHeight
		s.item(y, item)
	}
}

func (s *sheet) listHead(top float64, l Label, page, pages int) float64 {
	s.caption(top+4.5, "CONTENTS")
	if pages > 1 {
		s.writeRight(top+4.5, regular, 6.5, fmt.Sprintf("%s   page %d of %d", l.OrderNumber, page, pages))
	}
	return top + 5
}

func (s *sheet) item(y float64, item Item) {
	quantity := fmt.Sprintf("%d ×", item.Quantity)
	s.write(margin+quantityEdge-1.5-s.width(bold, rowSize, quantity), y, bold, rowSize, quantity)
	s.write(margin+quantityEdge, y, regular, rowSize, s.cut(regular, rowSize, skuEdge-margin-quantityEdge-2, item.Name))
	s.write(skuEdge, y, regular, 6.5, s.cut(regular, 6.5, pageWidth-margin-skuEdge, item.SKU))
}

// pagesFor counts pages the way packingList breaks them.
func pagesFor(items int) int {
	pages, y := 1, orderBottom+5.0
	for range items {
		if y+rowHeight > listBottom {
			pages++
			y = 5
		}
		y += rowHeight
	}
	return pages
}
