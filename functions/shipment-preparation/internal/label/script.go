package label

import (
	"fmt"
	"image/color"
	"strings"
	"unicode"

	"github.com/hajimehoshi/bitmapfont/v4"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// face is a kind of type.
type face int

const (
	// western is Helvetica, which every PDF reader and printer has. It is
	// enough for most labels, and ten times as fast as a font that is embedded.
	western face = iota
	// european are the Go fonts: all of Latin, Greek and Cyrillic.
	european
	// eastern is a bitmap font, whose glyphs are drawn dot by dot.
	eastern
)

// script knows what can be printed in which type.
type script struct {
	outline *sfnt.Font
	dots    font.Face
}

// replacement stands for what can be printed in neither.
const replacement = '□'

// newScript takes the shapes of the characters that are shared by several
// countries from the country of the address.
func newScript(country string) (script, error) {
	outline, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		return script{}, fmt.Errorf("parse font: %w", err)
	}
	dots := bitmapfont.Face
	switch country {
	case "CN", "SG":
		dots = bitmapfont.FaceSC
	case "TW", "HK", "MO":
		dots = bitmapfont.FaceTC
	}
	return script{outline: outline, dots: dots}, nil
}

func isWestern(r rune) bool {
	_, ok := charmap.Windows1252.EncodeRune(r)
	return ok
}

func (s script) hasOutline(r rune) bool {
	if isWestern(r) {
		return true
	}
	index, err := s.outline.GlyphIndex(nil, r)
	return err == nil && index != 0
}

func (s script) has(r rune) bool { return s.hasOutline(r) || s.hasDots(r) }

// hasDots tells whether the bitmap font has something to show. Scripts that
// run from the right, or whose letters join, need more than glyphs.
func (s script) hasDots(r rune) bool {
	if !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo) && !eastAsianSign(r) {
		return false
	}
	return len(s.spans(r)) > 0
}

// eastAsianSign tells the punctuation and the full-width forms.
func eastAsianSign(r rune) bool {
	return r >= 0x3001 && r <= 0x303f || r >= 0x30fb && r <= 0x30fe || r >= 0xff01 && r <= 0xffee
}

// printable puts text into characters that can be printed. Accents that the
// font lacks are dropped, and emoji beside something else; anything else becomes
// a box. A text of which nothing is left that could be read is lossy too: a
// line that isn't there says nothing of what was to stand in it.
func (s *sheet) printable(text string) string {
	var out strings.Builder
	dropped := false
	for _, r := range norm.NFC.String(text) {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			out.WriteByte(' ')
			dropped = dropped || !unicode.IsSpace(r)
			continue
		}
		replaced := string(r)
		if !s.script.has(r) {
			replaced = s.substitute(r)
		}
		dropped = dropped || replaced == ""
		out.WriteString(replaced)
	}
	if dropped && !strings.ContainsFunc(out.String(), isReadable) {
		s.lossy = true
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

func isReadable(r rune) bool { return unicode.In(r, unicode.L, unicode.N) }

func (s *sheet) substitute(r rune) string {
	if simpler, ok := s.script.simpler(r); ok {
		return simpler
	}
	if isOrnament(r) {
		return ""
	}
	s.lossy = true
	return string(replacement)
}

// simpler finds characters that can be printed and say all that r says but for
// its accents.
func (s script) simpler(r rune) (string, bool) {
	if unicode.Is(unicode.Pd, r) {
		return "-", true // 12‑14 must not become 1214
	}
	whole := norm.NFKC.String(string(r))
	bare := strings.Map(func(part rune) rune {
		if unicode.Is(unicode.Mn, part) {
			return -1
		}
		return part
	}, norm.NFKD.String(string(r)))
	for _, form := range []string{whole, bare} {
		if strings.TrimSpace(form) != "" && !strings.ContainsFunc(form, func(part rune) bool { return !s.has(part) }) {
			return form, true
		}
	}
	return "", false
}

// isOrnament tells what can be left out of an address: marks whose letter is
// there, joiners, and emoji, but for those that are letters.
func isOrnament(r rune) bool {
	switch {
	case unicode.In(r, unicode.M, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point):
		return true
	case unicode.Is(unicode.Other_Alphabetic, r):
		return false
	}
	return unicode.In(r, unicode.So, unicode.Sk) && unicode.Is(unicode.Common, r)
}

// run is a piece of text that is set in one type.
type run struct {
	text string
	face face
}

// runs splits text by type. One text isn't set in both outline types: their
// letters don't match within a word.
func (s *sheet) runs(text string) []run {
	outline := western
	for _, r := range text {
		if !isWestern(r) && s.script.hasOutline(r) {
			outline = european
		}
	}
	var runs []run
	for _, r := range text {
		kind := outline
		if !s.script.hasOutline(r) {
			kind = eastern
		}
		if n := len(runs); n > 0 && runs[n-1].face == kind {
			runs[n-1].text += string(r)
			continue
		}
		runs = append(runs, run{string(r), kind})
	}
	return runs
}

// choose makes the run's font the current one and returns its text in that
// font's encoding.
func (s *sheet) choose(r run, style string, size float64) string {
	if r.face == european {
		font := goregular.TTF
		if style == bold {
			font = gobold.TTF
		}
		s.pdf.AddUTF8FontFromBytes("go", style, font) // once for each style
		s.pdf.SetFont("go", style, size)
		return r.text
	}
	s.pdf.SetFont("Helvetica", style, size)
	encoded := make([]byte, 0, len(r.text))
	for _, letter := range r.text {
		b, _ := charmap.Windows1252.EncodeRune(letter)
		encoded = append(encoded, b)
	}
	return string(encoded)
}

// The bitmap font's glyphs are this many dots square, and stand this many
// above the line.
const (
	glyphDots  = 12
	glyphAbove = 10.5
)

// span is a horizontal run of dots of a glyph.
type span struct{ x, y, length int }

func (s script) spans(r rune) []span {
	box, mask, at, _, ok := s.dots.Glyph(fixed.Point26_6{}, r)
	if !ok {
		return nil
	}
	var spans []span
	for y := range box.Dy() {
		length := 0
		for x := 0; x <= box.Dx(); x++ {
			if x < box.Dx() && mask.At(at.X+x, at.Y+y) != (color.Alpha{}) {
				length++
				continue
			}
			if length > 0 {
				spans = append(spans, span{x - length, y, length})
			}
			length = 0
		}
	}
	return spans
}

// drawGlyphs draws the text's glyphs at a baseline and returns where it ends.
func (s *sheet) drawGlyphs(x, y, size float64, text string) float64 {
	dot := size * pointMM / glyphDots
	for _, r := range text {
		for _, part := range s.script.spans(r) {
			// A little over its edge, so that no hairline shows between rows.
			s.pdf.Rect(x+float64(part.x)*dot, y+(float64(part.y)-glyphAbove)*dot, float64(part.length)*dot, dot*1.04, "F")
		}
		x += glyphsWidth(size, string(r))
	}
	return x
}

func glyphsWidth(size float64, text string) float64 {
	return size * pointMM * float64(len([]rune(text)))
}
