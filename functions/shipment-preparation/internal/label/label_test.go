package label

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testTracking = "OP1234567890123456789012"
	testOrder    = "OF-7K2MX-9QW3E"
)

func testLabel(to Address, items ...Item) Label {
	return Label{
		Carrier: "Orderflow Parcel", TrackingNumber: testTracking, OrderNumber: testOrder,
		Date: time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC), To: to, Items: items,
	}
}

func items(n int) []Item {
	var all []Item
	for i := range n {
		all = append(all, Item{SKU: fmt.Sprintf("SKU-%03d", i), Name: fmt.Sprintf("Article number %d with a name too long for one line of a label", i), Quantity: i + 1})
	}
	return all
}

func testLabels() map[string]Label {
	one := Item{SKU: "COFFEE-KONGA", Name: "Konga, Washed", Quantity: 2}
	return map[string]Label{
		"plain":       testLabel(Address{"Ada Example", "1 Test Street", "", "Testville", "12345", "DE"}, one),
		"polish":      testLabel(Address{"Żółć Łódzka", "ul. Piotrkowska 1/3", "", "Łódź", "90-001", "PL"}, one),
		"japanese":    testLabel(Address{"山田 太郎", "丸の内１丁目９−１", "ビル5階", "東京", "100-0005", "JP"}, one),
		"emoji":       testLabel(Address{"Ada 👩‍🚀🎉", "1 Test 🏠", "", "Testville", "12345", "US"}, one),
		"hebrew":      testLabel(Address{"שלום", "1 Test Street", "", "Testville", "12345", "IL"}, one),
		"celebration": testLabel(Address{"🎉🎉", "🎉🎉", "", "🎉🎉", "1", "DE"}, one),
		"ligature":    testLabel(Address{"ﷺﷺﷺ", "ﷺﷺﷺ", "", "ﷺﷺﷺ", "1", "DE"}, one),
		"invisible":   testLabel(Address{"\u200b", "1 Test Street", "", "Testville", "12345", "DE"}, one),
		"no town":     testLabel(Address{"Ada Example", "1 Test Street", "", "🎉🎉", "12345", "DE"}, one),
		"hostile":     testLabel(Address{"\x00\x1b[31m\u202e\ufeff", "()\\ <b>%PDF", "\xff\xfe", ")Tj ET", "\n\n\t", "DE"}, one),
		"empty":       testLabel(Address{}),
		"long": testLabel(Address{
			strings.Repeat("Wolfeschlegelsteinhausen", 10), strings.Repeat("Very long street name ", 20),
			strings.Repeat("x", 500), strings.Repeat("東", 200), "12345", "GB",
		}, items(50)...),
	}
}

func render(tb testing.TB, l Label) []byte {
	tb.Helper()
	pdf, err := Render(l)
	if err != nil {
		tb.Fatalf("Render(): %v", err)
	}
	return pdf
}

// tool runs a program from Debian on a label.
func tool(tb testing.TB, pdf []byte, debianPackage, name string, args ...string) string {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		tb.Fatalf("%s is needed to read a label back: install Debian's %s", name, debianPackage)
	}
	command := exec.CommandContext(tb.Context(), name, args...)
	command.Stdin = bytes.NewReader(pdf)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		tb.Fatalf("%s: %v: %s", name, err, complaint.String())
	}
	return string(out)
}

func text(tb testing.TB, pdf []byte) string {
	tb.Helper()
	return tool(tb, pdf, "poppler-utils", "pdftotext", "-layout", "-", "-")
}

// A label printer has 203 dots to the inch.
func TestCodesCanBeRead(t *testing.T) {
	t.Parallel()
	for name, l := range testLabels() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := filepath.Join(t.TempDir(), "page.png")
			picture := tool(t, render(t, l), "poppler-utils", "pdftoppm", "-png", "-gray", "-r", "203", "-l", "1", "-")
			if err := os.WriteFile(page, []byte(picture), 0o600); err != nil {
				t.Fatal(err)
			}
			codes := tool(t, nil, "zbar-tools", "zbarimg", "--quiet", page)
			for _, want := range []string{"CODE-128:" + testTracking + "\n", "QR-Code:" + testOrder + "/" + testTracking + "\n"} {
				if !strings.Contains(codes, want) {
					t.Errorf("zbarimg read %q, want %q", codes, want)
				}
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for name, l := range testLabels() {
		got := text(t, render(t, l))
		for _, want := range []string{testOrder, Grouped(testTracking), l.Carrier} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the label doesn't say %q:\n%s", name, want, got)
			}
		}
	}
	for name, wants := range map[string][]string{
		"plain":       {"Ada Example", "1 Test Street", "12345 Testville", "DE", "2 × Konga, Washed", "COFFEE-KONGA"},
		"polish":      {"Żółć Łódzka", "90-001 Łódź"},
		"emoji":       {"Ada\n", "1 Test\n"},
		"hebrew":      {"□□□□", "Can't be printed in full"},
		"celebration": {"1\n", "Can't be printed in full"},
		"ligature":    {"□□□", "Can't be printed in full"},
		"invisible":   {"1 Test Street", "Can't be printed in full"},
		"no town":     {"12345\n", "Can't be printed in full"},
		"long":        {"Can't be printed in full", "page 1 of 3"},
	} {
		got := text(t, render(t, testLabels()[name]))
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the label doesn't say %q:\n%s", name, want, got)
			}
		}
	}
}

// Every item is on the packing list once, however many there are.
func TestPackingList(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, 8, 9, 43, 44, 50, 200} {
		l := testLabel(Address{Name: "Ada Example", Country: "DE"}, items(n)...)
		got := text(t, render(t, l))
		for _, item := range l.Items {
			if count := strings.Count(got, item.SKU); count != 1 {
				t.Errorf("with %d items, %s is listed %d times, want once", n, item.SKU, count)
			}
		}
		if pages := strings.Count(got, "\f"); pages != pagesFor(n) {
			t.Errorf("with %d items there are %d pages, and the label says %d", n, pages, pagesFor(n))
		}
	}
}

// Storing a label again must change nothing, so the bytes are always the same.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	for name, l := range testLabels() {
		first := render(t, l)
		for range 10 {
			if !bytes.Equal(first, render(t, l)) {
				t.Errorf("%s: the same label comes to other bytes", name)
				break
			}
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in, want string
		lossy    bool
	}{
		{"Ada Example", "Ada Example", false},
		{"  Ada \t\n Example ", "Ada Example", false},
		{"Łódź Ünïcödé ß Œuvre €", "Łódź Ünïcödé ß Œuvre €", false},
		{"q\u0301", "q", false},
		{"Łódz\u0301", "Łódź", false}, // decomposed
		{"Việt Nguyễn", "Viet Nguyen", false},
		{"Αθήνα Москва", "Αθήνα Москва", false},
		{"東京都 にほん カタカナ 서울 臺北", "東京都 にほん カタカナ 서울 臺北", false},
		{"１２３", "１２３", false},
		{"①② ﬁne", "12 ﬁne", false},
		{"Ada 👩‍🚀 🎉", "Ada", false},
		{"\x00\x1b\u202e\ufeffx", "x", false},
		{"שלום", "□□□□", true},
		{"ไทย", "□□□", true},
		{"🎉🎉", "", true},
		{"🎉-🎉", "-", true},
		{"-", "-", false},
		{"", "", false},
		{" \t", "", false},
		{"\x00", "", true},
		{"\u200b", "", true},
		{"\U000e0001\ufeff\u200f", "", true},
		{"\u0301\u0301", "", true},
		{"ﷺﷺﷺ", "□□□", true},
		{"Ada ﷽", "Ada □", true},
		{"Flat 🅱", "Flat □", true},
		{"Ada \ue000", "Ada □", true},
		{"１２‑１４ 12\u201014 12\u201214", "１２-１４ 12-14 12-14", false},
		{"㈱山田 ㍿ ⼀", "(株)山田 株式会社 一", false},
		{"\u3164", "", true},
	} {
		s, err := newSheet(Label{})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.printable(test.in); got != test.want || s.lossy != test.lossy {
			t.Errorf("printable(%q) = %q, lossy %t, want %q, %t", test.in, got, s.lossy, test.want, test.lossy)
		}
	}
}

// The shapes of the same character differ between countries.
func TestCountryChoosesTheShapes(t *testing.T) {
	t.Parallel()
	shape := func(country string, r rune) string {
		s, err := newScript(country)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(s.spans(r))
	}
	for _, country := range []string{"CN", "TW"} {
		if shape("JP", '直') == shape(country, '直') {
			t.Errorf("直 looks in %s as it does in Japan", country)
		}
	}
}

// No line is wider than the label, and nothing but spaces gets lost.
func TestWrap(t *testing.T) {
	t.Parallel()
	s, err := newSheet(Label{})
	if err != nil {
		t.Fatal(err)
	}
	s.pdf.AddPage()
	for _, text := range []string{
		"", "short", strings.Repeat("word ", 50), strings.Repeat("x", 300), "a " + strings.Repeat("Ł", 100) + " b",
		strings.Repeat("東京", 60), strings.Repeat("mixed 東京 Łódź ", 20),
	} {
		lines := s.wrap(bold, 11, innerWidth, text)
		for _, line := range lines {
			if width := s.width(bold, 11, line); width > innerWidth {
				t.Errorf("wrap(%q) has a line of %.1f mm, want at most %.1f: %q", text, width, innerWidth, line)
			}
		}
		squeeze := strings.NewReplacer(" ", "").Replace
		if diff := cmp.Diff(squeeze(text), squeeze(strings.Join(lines, ""))); diff != "" {
			t.Errorf("wrap(%q) loses text (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("Ada Example", "1 Test Street", "Testville", "DE", "Konga")
	f.Add("山田 太郎", "Łódź", "👩‍🚀", "JP", "\x00\xff")
	f.Fuzz(func(t *testing.T, name, line, city, country, item string) {
		pdf := render(t, testLabel(Address{Name: name, Line1: line, City: city, Country: country}, Item{Name: item, SKU: "X", Quantity: 1}))
		if !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			t.Errorf("not a PDF: %q", pdf[:min(len(pdf), 20)])
		}
	})
}

func BenchmarkRender(b *testing.B) {
	for _, name := range []string{"plain", "polish", "japanese"} {
		b.Run(name, func(b *testing.B) {
			l := testLabels()[name]
			for b.Loop() {
				render(b, l)
			}
		})
	}
}
