package label

import (
	"fmt"
	"image/color"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/qr"
)

// quietModules is the white that a Code 128 needs on each side.
const quietModules = 10

// code128 draws a barcode across the page, as lines rather than as a picture:
// they stay sharp on any printer.
func (s *sheet) code128(top, height float64, content string) error {
	code, err := code128.Encode(content)
	if err != nil {
		return fmt.Errorf("encode tracking number: %w", err)
	}
	modules := code.Bounds().Dx()
	module := pageWidth / float64(modules+2*quietModules)
	s.bars(code, 0, quietModules*module, top, module, height)
	return nil
}

// qr draws a QR code that can lose a quarter of itself.
func (s *sheet) qr(left, top, size float64, content string) error {
	code, err := qr.Encode(content, qr.Q, qr.Auto)
	if err != nil {
		return fmt.Errorf("encode order number: %w", err)
	}
	module := size / float64(code.Bounds().Dx())
	for row := range code.Bounds().Dy() {
		s.bars(code, row, left, top+float64(row)*module, module, module*1.02)
	}
	return nil
}

// bars draws one row of a code, each run of black modules as one bar.
func (s *sheet) bars(code barcode.Barcode, row int, left, top, module, height float64) {
	width, length := code.Bounds().Dx(), 0
	for x := 0; x <= width; x++ {
		if x < width && code.At(x, row) == color.Black {
			length++
			continue
		}
		if length > 0 {
			s.pdf.Rect(left+float64(x-length)*module, top, float64(length)*module, height, "F")
		}
		length = 0
	}
}
