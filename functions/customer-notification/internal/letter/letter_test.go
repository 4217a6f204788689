package letter_test

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/functions/customer-notification/internal/letter"
)

// go test ./internal/letter -update writes testdata anew; look at it in a browser.
var update = flag.Bool("update", false, "rewrite the letters in testdata")

func newWriter(t *testing.T) *letter.Writer {
	t.Helper()
	return writerIn(t, "en")
}

func writerIn(t *testing.T, language string) *letter.Writer {
	t.Helper()
	w, err := letter.NewWriter(language)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t *testing.T, news letter.News, order letter.Order) letter.Letter {
	t.Helper()
	written, err := newWriter(t).Write(news, order)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func eur(amount int64) events.Money { return events.Money{Amount: amount, Currency: "EUR"} }

func anOrder() letter.Order {
	return letter.Order{
		Number: "OF-7QK2M-X4ZP9",
		Link:   "https://shop.example.com/orders/0198a0b0-1111-7222-8333-444455556666?token=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_",
		Name:   "Marta Lindqvist",
		Address: letter.Address{
			Line1: "Havregatan 12", Line2: "c/o Berg", City: "Göteborg", PostalCode: "411 18", Country: "SE",
		},
		Lines: []letter.Line{
			{SKU: "COFFEE-FIRSTLIGHT", Name: "First Light", Quantity: 2, UnitPrice: eur(980)},
			{SKU: "BREW-KETTLE", Name: "Heron Kettle", Quantity: 3, UnitPrice: eur(7900)},
			{SKU: "TEA-SENCHA", Name: "Four O’Clock Sencha", Quantity: 1, UnitPrice: eur(1360)},
		},
		Total: eur(27020),
	}
}

func cancelledFor(reason events.Reason) letter.News {
	return letter.News{Change: letter.Cancelled, Reason: reason}
}

func returned(reason events.ReturnReason, lines ...events.ReturnedLine) letter.News {
	return letter.News{Change: "order-returned/2", ReturnReason: reason, Returned: lines, Refund: eur(7900)}
}

func shipped() letter.News {
	return letter.News{Change: letter.Shipped, Carrier: "Lantern Post", TrackingNumber: "LP7QK2MX4ZP9001SE"}
}

func TestLetters(t *testing.T) {
	t.Parallel()
	outOfStock := cancelledFor(events.ReasonOutOfStock)
	outOfStock.Short = []events.Shortage{
		{SKU: "COFFEE-FIRSTLIGHT", Wanted: 2, Available: 0},
		{SKU: "BREW-KETTLE", Wanted: 3, Available: 1}, {SKU: "NEVER-ORDERED", Wanted: 1},
	}
	for name, news := range map[string]letter.News{
		"placed": {Change: letter.Placed}, "shipped": shipped(), "out-of-stock": outOfStock,
		"payment-declined": cancelledFor(events.ReasonPaymentDeclined), "payment-expired": cancelledFor(events.ReasonPaymentExpired),
		"customer-request": cancelledFor(events.ReasonCustomerRequest),
		"operator-request": cancelledFor(events.ReasonOperatorRequest),
		"returned": returned(events.ReturnNotWanted, events.ReturnedLine{SKU: "BREW-KETTLE", Quantity: 1, Restocked: true},
			events.ReturnedLine{SKU: "BREW-KETTLE", Quantity: 1}, events.ReturnedLine{SKU: "NEVER-ORDERED", Quantity: 1}),
		"goodwill":            returned(events.ReturnGoodwill),
		"reason-of-next-year": cancelledFor("meteorite"), "link": {Change: letter.Link},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written := write(t, news, anOrder())
			golden(t, name+".txt", "Subject: "+written.Subject+"\n\n"+written.Text)
			golden(t, name+".html", written.HTML)
			translated, err := writerIn(t, "de").Write(news, anOrder())
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+"-de.txt", "Subject: "+translated.Subject+"\n\n"+translated.Text)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update accepts):\n%s", name, diff)
	}
}

// A block that one language has and another doesn't would be said in silence, or not
// be said at all.
func TestEveryLanguageHasWordsForEverything(t *testing.T) {
	t.Parallel()
	for _, change := range letter.Changes() {
		for _, file := range []string{"common", string(change)} {
			english, german := blocks(t, "en/"+file+".tmpl"), blocks(t, "de/"+file+".tmpl")
			if diff := cmp.Diff(english, german); diff != "" {
				t.Errorf("%s (-en +de):\n%s", file, diff)
			}
		}
	}
	for _, reason := range append(events.Reasons(), "meteorite") {
		written, err := writerIn(t, "de").Write(cancelledFor(reason), anOrder())
		if err != nil || !strings.Contains(written.Text, "Zum Geld") || !strings.Contains(written.Text, "270,20\u00a0€") {
			t.Errorf("the German letter for %s: %v\n%s", reason, err, written.Text)
		}
	}
}

// blocks are what a file of words defines, and the cases in it.
func blocks(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`{{-? ?(?:define|else if|if) [^}]*}}`).FindAllString(string(content), -1)
}

// A reason without words of its own would read like an accident.
func TestEveryReasonHasWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]events.Reason{}
	for _, reason := range append(events.Reasons(), "meteorite") {
		written := write(t, cancelledFor(reason), anOrder())
		if !strings.Contains(written.Text, "About the money") {
			t.Errorf("the letter for %s says nothing about the money", reason)
		}
		if other, said := seen[written.Text]; said {
			t.Errorf("the letters for %s and %s are the same", reason, other)
		}
		seen[written.Text] = reason
	}
}

func TestEveryReturnHasWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]events.ReturnReason{}
	for _, reason := range events.ReturnReasons() {
		written := write(t, returned(reason), anOrder())
		if !strings.Contains(written.Text, "€79.00 goes back") {
			t.Errorf("the letter for %s says nothing about the money", reason)
		}
		if other, said := seen[written.Text]; said {
			t.Errorf("the letters for %s and %s are the same", reason, other)
		}
		seen[written.Text] = reason
	}
}

func TestHostileOrder(t *testing.T) {
	t.Parallel()
	order := anOrder()
	order.Name = "<script>alert(1)</script>\r\nBcc: everyone@example.com, see http://evil.example/win \u202e{{.Link}}" + strings.Repeat("長", 5000)
	order.Address = letter.Address{Line1: "\"><img src=x onerror=alert(1)>", Line2: strings.Repeat("y", 5000), City: "Town\n\nYou won", Country: "??"}
	order.Lines[0].Name = "<b>Bold</b>\r\n\tblend"
	for _, news := range []letter.News{{Change: letter.Placed}, shipped(), cancelledFor(events.ReasonOutOfStock), returned(events.ReturnDamaged, events.ReturnedLine{SKU: "COFFEE-FIRSTLIGHT", Quantity: 1})} {
		written := write(t, news, order)
		for _, part := range []string{"<script>", "<img", "<b>Bold", "evil.example", "{{.Link}}", "\u202e"} {
			if strings.Contains(written.HTML, part) {
				t.Errorf("%s: the HTML contains %q", news.Change, part)
			}
		}
		for _, part := range []string{"\r", "\nBcc:", "evil.example", "\nYou won", "\u202e"} {
			if strings.Contains(written.Subject+written.Text, part) {
				t.Errorf("%s: subject or text contains %q", news.Change, part)
			}
		}
		if len(written.HTML) > 16<<10 || len(written.Text) > 4<<10 {
			t.Errorf("%s: %d bytes of HTML, %d of text for 10 kB of nonsense", news.Change, len(written.HTML), len(written.Text))
		}
	}
}

func TestNobodysName(t *testing.T) {
	t.Parallel()
	order := anOrder()
	order.Name = "\t<>"
	if written := write(t, letter.News{Change: letter.Placed}, order); !strings.Contains(written.Text, "\nHello,\n") {
		t.Errorf("a letter to nobody begins with:\n%.200s", written.Text)
	}
}

func TestPlainName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Ada Example":                  "Ada Example",
		"  Anne-Marie   O'Neill\t":     "Anne-Marie O'Neill",
		"J. R. R. Tolkien":             "J. R. R. Tolkien",
		"Martin Luther King Jr.":       "Martin Luther King Jr.",
		"Müller, Anna":                 "Müller Anna",
		"नेहा शर्मा":                   "नेहा शर्मा",
		"x@y.example":                  "x y example",
		"evil.example/free":            "evil example free",
		"Ada\r\nBcc: all@shop.example": "Ada Bcc all shop example",
		"\u202eadA\x00":                "adA",
		"\xff\xfe":                     "",
		strings.Repeat("é", 100):       strings.Repeat("é", 69) + "…",
		"<\"Ada\" ;\\>":                "Ada",
	} {
		got := letter.PlainName(name)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("PlainName(%q) = %q, want %q", name, got, want)
		}
	}
}

func FuzzPlainName(f *testing.F) {
	f.Add("Ada Example")
	f.Add("Ada\r\nBcc: all@shop.example")
	f.Fuzz(func(t *testing.T, name string) {
		plain := letter.PlainName(name)
		if strings.ContainsAny(plain, "\r\n\t<>@\",;:/\\") || utf8.RuneCountInString(plain) > 70 || !utf8.ValidString(plain) {
			t.Errorf("PlainName(%q) = %q", name, plain)
		}
		if again := letter.PlainName(plain); again != plain && !strings.HasSuffix(plain, "…") {
			t.Errorf("PlainName(%q) = %q, and of that %q", name, plain, again)
		}
	})
}

func TestPrices(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		money events.Money
		want  string
	}{
		{eur(3300), "€33.00"},
		{events.Money{Amount: 5, Currency: "USD"}, "$0.05"},
		{events.Money{Amount: 1200, Currency: "JPY"}, "¥1,200"},
		{events.Money{Amount: 1250, Currency: "CHF"}, "CHF\u00a012.50"},
	} {
		order := anOrder()
		order.Total = test.money
		if written := write(t, letter.News{Change: letter.Placed}, order); !strings.Contains(written.Text, "\nTotal: "+test.want+"\n") {
			t.Errorf("a total of %s is not written %s:\n%s", test.money, test.want, written.Text)
		}
	}
}

func TestRefusesToWrite(t *testing.T) {
	t.Parallel()
	if _, err := newWriter(t).Write(letter.News{Change: "order-forgotten"}, anOrder()); err == nil {
		t.Error("wrote a letter about nothing")
	}
	order := anOrder()
	order.Lines[0].UnitPrice = eur(math.MaxInt64)
	if _, err := newWriter(t).Write(letter.News{Change: letter.Placed}, order); err == nil {
		t.Error("wrote a letter with a sum that overflows")
	}
	for _, locale := range []string{"fr", "not a language", ""} {
		if _, err := letter.NewWriter(locale); err == nil {
			t.Errorf("made a writer of %q", locale)
		}
	}
}

func TestShop(t *testing.T) {
	t.Parallel()
	if got := newWriter(t).Shop(); got != "Small Hours" {
		t.Errorf("Shop() = %q", got)
	}
}
