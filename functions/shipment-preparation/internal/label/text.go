package label

import "strings"

// pointMM is the height of a typographic point in millimetres.
const pointMM = 25.4 / 72

// styled is a paragraph of a block, with its size relative to the block's.
type styled struct {
	style string
	scale float64
	text  string
}

// write sets text with its baseline at y.
func (s *sheet) write(x, y float64, style string, size float64, text string) {
	for _, r := range s.runs(text) {
		if r.face == eastern {
			x = s.drawGlyphs(x, y, size, r.text)
			continue
		}
		encoded := s.choose(r, style, size)
		s.pdf.Text(x, y, encoded)
		x += s.pdf.GetStringWidth(encoded)
	}
}

func (s *sheet) writeRight(y float64, style string, size float64, text string) {
	s.write(pageWidth-margin-s.width(style, size, text), y, style, size, text)
}

func (s *sheet) writeCentred(y float64, style string, size float64, text string) {
	s.write((pageWidth-s.width(style, size, text))/2, y, style, size, text)
}

// caption names what stands below it.
func (s *sheet) caption(y float64, text string) {
	s.pdf.SetTextColor(90, 90, 90)
	s.write(margin, y, bold, 6.5, text)
	s.pdf.SetTextColor(0, 0, 0)
}

func (s *sheet) rule(y, thickness float64) {
	s.pdf.Rect(margin, y, innerWidth, thickness, "F")
}

func (s *sheet) width(style string, size float64, text string) float64 {
	width := 0.0
	for _, r := range s.runs(text) {
		if r.face == eastern {
			width += glyphsWidth(size, r.text)
			continue
		}
		width += s.pdf.GetStringWidth(s.choose(r, style, size))
	}
	return width
}

// The sizes that a block is tried in, in points.
const (
	largest, smallest = 12.5, 6.0
	sizeStep          = 0.5
	leading           = 1.28
)

// block sets paragraphs between top and bottom in the largest size in which
// all of them fit. What doesn't fit in the smallest is cut.
func (s *sheet) block(top, bottom float64, paragraphs []styled) {
	size := largest
	lines, height := s.layOut(size, paragraphs)
	for height > bottom-top && size > smallest {
		size -= sizeStep
		lines, height = s.layOut(size, paragraphs)
	}
	y := top
	for _, line := range lines {
		advance := size * line.scale * leading * pointMM
		if y+advance > bottom {
			s.lossy = true
			return
		}
		y += advance
		s.write(margin, y, line.style, size*line.scale, line.text)
	}
}

func (s *sheet) layOut(size float64, paragraphs []styled) ([]styled, float64) {
	var lines []styled
	height := 0.0
	for _, p := range paragraphs {
		for _, text := range s.wrap(p.style, size*p.scale, innerWidth, s.printable(p.text)) {
			lines = append(lines, styled{p.style, p.scale, text})
			height += size * p.scale * leading * pointMM
		}
	}
	return lines, height
}

// wrap breaks text at spaces, and within a word that is longer than a line.
func (s *sheet) wrap(style string, size, width float64, text string) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if joined := strings.TrimSpace(line + " " + word); s.width(style, size, joined) <= width {
			line = joined
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		broken := s.chop(style, size, width, word)
		lines, line = append(lines, broken[:len(broken)-1]...), broken[len(broken)-1]
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}

// chop breaks a word into pieces that fit.
func (s *sheet) chop(style string, size, width float64, word string) []string {
	pieces, used := []string{""}, 0.0
	for _, r := range word {
		advance := s.width(style, size, string(r))
		if used+advance > width && pieces[len(pieces)-1] != "" {
			pieces, used = append(pieces, ""), 0
		}
		pieces[len(pieces)-1] += string(r)
		used += advance
	}
	return pieces
}

// cut shortens text to one line.
func (s *sheet) cut(style string, size, width float64, text string) string {
	text = s.printable(text)
	if s.width(style, size, text) <= width {
		return text
	}
	return strings.TrimSpace(s.chop(style, size, width-s.width(style, size, "…"), text)[0]) + "…"
}

// Grouped spaces a tracking number the way people read it: "OP 1234 5678 …".
func Grouped(number string) string {
	var out strings.Builder
	for i, r := range number {
		if i >= 2 && (i-2)%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteRune(r)
	}
	return out.String()
}
