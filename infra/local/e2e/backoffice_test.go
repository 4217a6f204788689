package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestBackOffice is everything that an operator does, at every width and at night.
func TestBackOffice(t *testing.T) {
	s := startSystem(t)
	s.await(t, s.place(t, basket(visa, line{"TEA-SENCHA", 1})), "shipped", 20*time.Second) // warm
	night := desktop()
	night.dark, night.name = true, "night"
	for _, at := range []screen{phone(), desktop(), night} {
		t.Run(at.name, func(t *testing.T) { backOfficeOnScreen(t, s, at) })
	}
	s.audit(t)
}

// backOfficeOnScreen looks at every page of the back office, and does what operators do.
func backOfficeOnScreen(t *testing.T, s *system, at screen) {
	shipped := s.place(t, basket(visa, line{"TABLE-CUPS", 1}))
	s.await(t, shipped, "shipped", 20*time.Second)
	s.awaitMails(t, shipped, "order-placed", "order-shipped")
	b := openBrowser(t, at)
	b.open(s.office("/orders/" + shipped.ID))
	b.until(`location.pathname === "/sign-in"`)
	b.shoot("sign-in")
	b.signIn("Ada of the "+at.name, "not the password, by far")
	b.until(`document.querySelector("[role=alert]") !== null`)
	b.shoot("sign-in-refused")
	b.signIn("", s.env["BACKOFFICE_PASSWORD"])
	b.until(`location.pathname.startsWith("/orders/")`) // where ada wanted to go
	b.shoot("order")
	for _, page := range []struct{ name, path string }{
		{"today", "/"}, {"orders", "/orders"}, {"orders-filtered", "/orders?status=shipped&sku=TABLE-CUPS"}, {"orders-none", "/orders?number=OF-NONE"},
		{"stock", "/stock"}, {"dead-letters", "/dead-letters"}, {"mail", "/mail"}, {"figures", "/figures?span=hour"}, {"checks", "/checks"}, {"nothing", "/nothing"},
	} {
		b.open(s.office(page.path))
		b.shoot("office-" + page.name)
	}
	b.dealWithGoods(s)
	b.cancelAtTheOffice(s)
	b.redriveAtTheOffice(s)
	b.open(s.office("/trail"))
	b.shoot("office-trail")
	for _, deed := range []string{"sign in", "receive goods", "adjust stock", "cancel order", "redrive dead letters", "discard dead letters"} {
		b.until(`document.querySelector("main").textContent.includes("` + deed + `")`)
	}
	b.follow(chromedp.Click(chromedp.CSS(`.who button`)))
	b.until(`location.pathname === "/sign-in"`)
	b.open(s.office("/trail"))
	b.until(`location.pathname === "/sign-in"`)
}

// office is an address of the back office.
func (s *system) office(path string) string {
	return strings.Replace(s.env["BACKOFFICE_URL"], "127.0.0.1", "localhost", 1) + path
}

// signIn fills in the form, by the keyboard alone.
func (b *browser) signIn(name, password string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.ID("name"), name))
	b.follow(chromedp.SendKeys(chromedp.ID("password"), password+kb.Enter))
}

// agree says yes to the question, and waits for what became of it.
func (b *browser) agree(name, told string) {
	b.t.Helper()
	b.until(`document.querySelector("main form input[name=confirm]") !== null`)
	b.shoot(name + "-asked")
	b.follow(chromedp.Click(chromedp.CSS(`main form .button`)))
	b.until(`document.querySelector(".told").textContent.includes("` + told + `")`)
	b.shoot(name)
}

func (b *browser) dealWithGoods(s *system) {
	b.t.Helper()
	b.open(s.office("/stock/TABLE-CUPS"))
	b.do(chromedp.SendKeys(chromedp.ID("in"), "20"), chromedp.SendKeys(chromedp.ID("reference"), "PO-"+b.screen.name))
	b.follow(chromedp.Click(chromedp.CSS(`form[action$="/receive"] .button`)))
	b.agree("office-received", "on record")
	b.do(chromedp.SendKeys(chromedp.ID("by"), "-2"), chromedp.SendKeys(chromedp.ID("adjust-reason"), "two were broken"))
	b.follow(chromedp.Click(chromedp.CSS(`form[action$="/adjust"] .button`)))
	b.agree("office-adjusted", "on record")
	b.do(chromedp.SendKeys(chromedp.ID("by"), "-2000000"), chromedp.SendKeys(chromedp.ID("adjust-reason"), "all are gone"))
	b.follow(chromedp.Click(chromedp.CSS(`form[action$="/adjust"] .button`)))
	b.agree("office-not-adjusted", "Nothing was done")
}

func (b *browser) cancelAtTheOffice(s *system) {
	b.t.Helper()
	resume := s.pause(b.t, "shipment-preparation")
	made := s.place(b.t, basket(visa, line{"TABLE-CUPS", 1}))
	s.await(b.t, made, "inventory_updated", 10*time.Second)
	s.awaitMails(b.t, made, "order-placed") // else it might be overtaken
	b.open(s.office("/orders?number=" + made.Number))
	b.follow(chromedp.Click(chromedp.CSS(`tbody a`)))
	b.do(chromedp.Click(chromedp.CSS(`details summary`)), chromedp.SendKeys(chromedp.ID("cancel-reason"), "the customer has called"))
	b.follow(chromedp.Click(chromedp.CSS(`form[action$="/cancel"] .button`)))
	b.agree("office-cancelled", "The order is cancelled")
	resume()
	s.await(b.t, made, "cancelled", 10*time.Second)
	s.awaitMails(b.t, made, "order-placed", "order-cancelled")
}

// redriveAtTheOffice sends an event again that nobody would take, and discards another.
func (b *browser) redriveAtTheOffice(s *system) {
	b.t.Helper()
	made := s.place(b.t, basket(visa, line{"TABLE-CUPS", 1}))
	s.await(b.t, made, "shipped", 20*time.Second)
	first, second := s.letter(b.t, made.ID, "order-placed"), s.letter(b.t, made.ID, "payment-verified")
	b.open(s.office("/dead-letters"))
	b.shoot("office-dead-letters-open")
	b.open(s.office("/dead-letters/" + first))
	b.follow(chromedp.Click(chromedp.CSS(`form[action$="/redrive"] .button`)))
	b.agree("office-redriven", "1 sent")
	b.open(s.office("/dead-letters/" + second))
	b.do(chromedp.Evaluate[chromedp.Void](`for (const one of document.querySelectorAll("details")) one.open = true`))
	b.do(chromedp.SendKeys(chromedp.ID("discard-reason"), "it was handled long ago"))
	b.follow(chromedp.Click(chromedp.CSS(`form[action$="/discard"] .button`)))
	b.agree("office-discarded", "1 discarded")
}

// letter makes a dead letter of an event of an order's history, as dead-letter-intake
// keeps one, and returns its number.
func (s *system) letter(t *testing.T, order, name string) string {
	t.Helper()
	var id string
	err := s.database(t).QueryRow(t.Context(), `insert into dead_letters (event_id, event_source, event_type, subject, error_dest, error_code, error_data, event, first_at, last_at)
		select order_id || '/' || name, '/orderflow/' || source, type, order_id, 'http://inventory-update.orderflow.svc.cluster.local', '422', 'it would not',
		       convert_to(jsonb_build_object('specversion', '1.0', 'id', order_id || '/' || name, 'source', '/orderflow/' || source, 'type', type, 'subject', order_id,
		           'time', to_char(occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'datacontenttype', 'application/json', 'partitionkey', order_id, 'data', data)::text, 'UTF8'), now(), now()
		from order_events where order_id = $1 and name = $2 returning id::text`, order, name).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
