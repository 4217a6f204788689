package function

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func (v visitor) pageIn(accepted, path string) string {
	v.t.Helper()
	r := v.request(http.MethodGet, path, nil)
	r.Header.Set("Accept-Language", accepted)
	got := v.do(r)
	if got.status != http.StatusOK {
		v.t.Fatalf("GET %s = %d", path, got.status)
	}
	return string(got.body)
}

func TestPagesSpeakTheCustomersLanguage(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	wantText(t, v.pageIn("de-AT,de;q=0.9", "/"), `<html lang="de">`, "79,00\u00a0€", "noch 12", "Kaffee")
	wantText(t, v.pageIn("fr, en;q=0.1", "/"), `<html lang="en">`, "€79.00", "12 left")
	wantText(t, v.pageIn("de", "/products/BREW-KETTLE"), "Ein langer Hals", "In den Korb legen")
	got := v.submit("/language", url.Values{"language": {"de"}, "back": {"/products"}})
	if got.header.Get("Location") != "/products" {
		t.Errorf("back at %q, want where the customer was", got.header.Get("Location"))
	}
	wantText(t, v.pageIn("en", "/products"), `<html lang="de">`, "Alle Regale")
	v.submit("/language", url.Values{"language": {"tlh"}})
	wantText(t, v.pageIn("en", "/products"), `<html lang="de">`)
}

// What is wrong with a form is said in the language of the form.
func TestRefusalsInGerman(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	v.submit("/language", url.Values{"language": {"de"}})
	v.putInBasket("TEA-SENCHA", "1")
	form := filled(t, v.page("/checkout"))
	form.Set("email", "x")
	form.Set("name", "")
	got := string(v.submit("/checkout", form).body)
	wantText(t, got, "Noch nicht ganz", "Name fehlt.", "E-Mail ist keine E-Mail-Adresse.", "Belgien")
	wantText(t, string(v.submit("/find-order", url.Values{"number": {"12"}, "email": {"x"}}).body), "Eine Bestellnummer sieht so aus", "OF-7K2QD-M41RX")
	if page := string(v.get("/nothing").body); !strings.Contains(page, "In diesem Regal ist nichts") {
		t.Errorf("nothing is said in German: %s", page)
	}
}

// An order remembers the language for its mails: that of the page, or what a
// program says it accepts.
func TestOrdersRememberTheLanguage(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v := s.visitor()
	v.submit("/language", url.Values{"language": {"de"}})
	v.putInBasket("TEA-SENCHA", "1")
	if got := v.submit("/checkout", filled(t, v.page("/checkout"))); got.status != http.StatusSeeOther {
		t.Fatalf("POST /checkout = %d", got.status)
	}
	s.mustOrder(wanted, "Accept-Language", "en-GB")
	s.mustOrder(wanted)
	for language, want := range map[string]int64{"de": 1, "en": 1, "": 1} {
		if got := s.count("select count(*) from order_contacts where language = $1", language); int64(got) != want {
			t.Errorf("%d orders in %q, want %d", got, language, want)
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	v := open(t, nil).visitor()
	for path, want := range map[string][]string{
		"/products":                                {"12 articles", "Heron Kettle", "Quince Jam"},
		"/products?category=tea":                   {"3 articles", "Lamp Out"},
		"/products?q=HONEY":                        {"One article for", "Linden Honey"},
		"/products?q=kettle+walnut":                {"One article for", "Heron Kettle"},
		"/products?q=tea&category=brewing":         {"0 articles", "Nothing on the shelves"},
		"/products?q=%ff%00zzz":                    {"0 articles"},
		"/products?q=" + strings.Repeat("x", 5000): {"0 articles"},
		"/products?category=nothing":               {"0 articles", "All shelves"},
		"/products?q=YIRGACHÉFFE":                  {"One article for", "Konga"},
	} {
		page := v.page(path)
		wantText(t, page, want...)
		if strings.Contains(path, "category=tea") && strings.Contains(page, "Heron Kettle") {
			t.Error("a kettle among the teas")
		}
	}
	wantText(t, v.pageIn("de", "/products?q=quitten"), "Ein Artikel zu", "Quince Jam")
	wantText(t, v.pageIn("de", "/products?q=kuchen"), "Artikel zu")
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	v, order := s.visitor(), s.mustOrder(wanted)
	receipt := strings.Replace(order.Links.Page, "?", "/receipt?", 1)
	wantText(t, v.page(order.Links.Page), "/orders/"+order.ID.String()+"/receipt?token=")
	wantText(t, v.page(receipt), order.Number, "First Light", "€98.60", "Ada Okafor<br>", "Not paid yet", `name="robots" content="noindex`)
	s.pay(order, "captured", false)
	wantText(t, v.page(receipt), "Paid by card: €98.60.")
	wantText(t, v.pageIn("de", receipt), "Mit Karte bezahlt: 98,60\u00a0€.", "Belgien")
}
