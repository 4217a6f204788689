package e2e_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// onScreen buys, follows the order to its end without a reload, and cancels another.
func onScreen(t *testing.T, s *system, at screen) {
	b := openBrowser(t, at)
	b.open(s.shop("/"))
	b.shoot("home")
	b.do(chromedp.Click(chromedp.CSS(`form[data-add="First Light"] button`)))
	b.until(`document.querySelector("[data-basket-count]").textContent.trim().startsWith("1")`)
	b.open(s.shop("/products/BREW-DRIPPER"))
	b.shoot("product")
	b.do(chromedp.SetValue(chromedp.ID("quantity"), "2"), chromedp.Click(chromedp.CSS(`form.buy button`)))
	b.until(`document.querySelector("[data-basket-count]").textContent.trim().startsWith("3")`)
	b.follow(chromedp.Click(chromedp.CSS(`a.basket-link`)))
	b.shoot("basket")
	b.follow(chromedp.Click(chromedp.CSS(`a[href="/checkout"]`)))
	b.shoot("checkout")
	b.follow(chromedp.Click(chromedp.CSS(`.sum button`)))
	b.until(`document.activeElement.matches("[data-focus]")`) // what is wrong is read out
	b.shoot("checkout-refused")
	b.fill()
	resume := s.pause(t, "payment-verification")
	b.follow(chromedp.Click(chromedp.CSS(`.sum button`)))
	b.until(`document.querySelector("[data-sky]").dataset.status === "placed"`)
	b.shoot("order-placed")
	b.do(chromedp.Evaluate[chromedp.Void](`window.sameWindow = true`))
	resume()
	b.until(`document.querySelector("[data-sky]").dataset.status === "shipped"`)
	b.until(`document.querySelector("[data-heading]").textContent.includes("on its way")`)
	if !evaluate[bool](b, `window.sameWindow === true`) {
		t.Error("the page was loaded anew")
	}
	b.shoot("order-shipped")
	made := b.order()
	s.awaitMails(t, made, "order-placed", "order-shipped")
	b.look(s)
	b.receipt()
	b.cancelAnother(s)
	b.readMail(s)
}

// look searches the shelves, and finds nothing else.
func (b *browser) look(s *system) {
	b.t.Helper()
	order, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.fail(err)
	}
	b.open(s.shop("/products?category=tea"))
	b.shoot("category")
	b.do(chromedp.SendKeys(chromedp.ID("q"), "assam"))
	b.follow(chromedp.Click(chromedp.CSS(`form.search button`)))
	if found := evaluate[int](b, `document.querySelectorAll(".cards li").length`); found != 1 {
		b.t.Errorf("%s: searched for assam, found %d", b.screen.name, found)
	}
	b.open(s.shop("/products?q=nothing+at+all"))
	b.shoot("search-nothing")
	b.open(s.shop("/find-order"))
	b.shoot("find-order")
	b.follow(chromedp.Click(chromedp.CSS(`form.form button`)))
	b.until(`document.activeElement.matches("[data-focus]")`)
	b.shoot("find-order-refused")
	b.do(chromedp.SendKeys(chromedp.ID("number"), "of-00000-00000"), chromedp.SendKeys(chromedp.ID("email"), customerEmail))
	b.follow(chromedp.Click(chromedp.CSS(`form.form button`)))
	b.until(`document.querySelector("[role=status].notice") !== null`)
	b.shoot("find-order-sent")
	b.open(order)
}

// receipt opens the receipt of the order that the window shows, and speaks German
// on the way.
func (b *browser) receipt() {
	b.t.Helper()
	b.follow(chromedp.Click(chromedp.CSS(`.receipt-link a`)))
	b.shoot("receipt")
	b.follow(chromedp.Click(chromedp.CSS(`button[name=language][value=de]`)))
	if !evaluate[bool](b, `document.documentElement.lang === "de" && document.querySelector("h1").textContent === "Quittung"`) {
		b.t.Errorf("%s: the receipt doesn't speak German", b.screen.name)
	}
	b.shoot("receipt-german")
	b.follow(chromedp.Click(chromedp.CSS(`button[name=language][value=en]`)))
}

// cancelAnother cancels an order that is held before its parcel is packed.
func (b *browser) cancelAnother(s *system) {
	b.t.Helper()
	resume := s.pause(b.t, "shipment-preparation")
	made := s.place(b.t, basket(visa, line{"TABLE-CUPS", 1}))
	s.await(b.t, made, "inventory_updated", 10*time.Second)
	s.awaitMails(b.t, made, "order-placed") // else it might be overtaken
	b.open(s.shop("/orders/" + made.ID + "?token=" + url.QueryEscape(made.Token)))
	b.shoot("order-cancellable")
	b.follow(chromedp.Click(chromedp.CSS(`form.cancel button`)))
	b.until(`document.querySelector("[data-sky]").dataset.status === "cancelled"`)
	b.until(`document.querySelector("[data-live]").textContent.includes("has been released")`)
	b.shoot("order-cancelled")
	resume()
	s.awaitMails(b.t, made, "order-placed", "order-cancelled")
}

// readMail opens the mailbox and a mail in it.
func (b *browser) readMail(s *system) {
	b.t.Helper()
	b.open(s.env["SENDGRID_HOST"])
	b.shoot("mailbox")
	b.follow(chromedp.Click(chromedp.CSS(`.list li a`)))
	b.shoot("mail")
}

// pagesInTheDark looks at every page with the colours of the night, and at those
// that customers see when something is missing.
func pagesInTheDark(t *testing.T, s *system, at screen) {
	made := s.place(t, basket(visa, line{"TEA-SENCHA", 1}))
	s.await(t, made, "shipped", 10*time.Second)
	cancelled := s.place(t, basket(declined, line{"TEA-SENCHA", 1}))
	s.await(t, cancelled, "cancelled", 10*time.Second)
	at.name, at.dark = "dark-"+at.name, true
	b := openBrowser(t, at)
	for _, one := range []struct{ name, path string }{
		{"home", "/"},
		{"product", "/products/TABLE-QUINCE"},
		{"category", "/products?category=brewing"},
		{"find-order", "/find-order"},
		{"find-order-sent", "/find-order?sent"},
		{"receipt", "/orders/" + made.ID + "/receipt?token=" + url.QueryEscape(made.Token)},
		{"basket-empty", "/basket"},
		{"order-shipped", "/orders/" + made.ID + "?token=" + url.QueryEscape(made.Token)},
		{"order-declined", "/orders/" + cancelled.ID + "?token=" + url.QueryEscape(cancelled.Token)},
		{"order-of-others", "/orders/" + made.ID + "?token=wrong"},
		{"nothing-here", "/no/such/page"},
	} {
		b.open(s.shop(one.path))
		b.shoot(one.name)
	}
	b.do(chromedp.Navigate(s.shop("/products/TEA-KITCHEN")), chromedp.Click(chromedp.CSS(`form.buy button`)))
	b.until(`document.querySelector("[data-basket-count]").textContent.trim().startsWith("1")`)
	for _, name := range []string{"basket", "checkout"} {
		b.open(s.shop("/" + name))
		b.shoot(name)
	}
	for _, one := range []struct{ name, path string }{
		{"mailbox", "/"}, {"mailbox-nothing", "/?to=nobody@customers.example"}, {"mail-missing", "/messages/999999999"},
	} {
		b.open(s.env["SENDGRID_HOST"] + one.path)
		b.shoot(one.name)
	}
}

// keyboardOnly buys with nothing but keys.
func keyboardOnly(t *testing.T, s *system) {
	b := openBrowser(t, desktop())
	b.open(s.shop("/"))
	b.do(chromedp.KeyEvent(kb.Tab))
	if !evaluate[bool](b, `document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().top >= 0`) {
		t.Error("the first thing a keyboard reaches is not a visible way to skip to the content")
	}
	b.tabTo(`form[data-add="First Light"] button`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("[data-basket-count]").textContent.trim().startsWith("1")`)
	b.open(s.shop("/basket"))
	b.tabTo(`a[href="/checkout"]`)
	b.follow(chromedp.KeyEvent(kb.Enter))
	for _, field := range []struct{ id, value string }{
		{"name", customerName}, {"email", customerEmail}, {"line1", customerLine1}, {"postal_code", "30-001"}, {"city", "Kraków"},
	} {
		b.tabTo("#" + field.id)
		b.do(chromedp.KeyEvent(field.value))
	}
	b.tabTo("#country")
	b.do(chromedp.KeyEvent("Pola"))
	b.tabTo(`input[name=payment_method]`)
	b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowUp))
	b.tabTo(`.sum button`)
	b.follow(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector("[data-sky]")?.dataset.status === "shipped"`)
	s.awaitMails(t, b.order(), "order-placed", "order-shipped")
}

// tabTo presses Tab until something has the focus, which must be visible then.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 150 {
		if evaluate[bool](b, `document.activeElement.matches('`+selector+`')`) {
			// The way to pay is a card with the button hidden in it.
			if !evaluate[bool](b, `[document.activeElement, document.activeElement.closest("label")].some((e) => e && getComputedStyle(e).outlineStyle !== "none")`) {
				b.t.Errorf("%s has the focus and doesn't show it", selector)
			}
			return
		}
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	b.fail(errors.New("Tab never reaches " + selector))
}

// withoutJavaScript buys with a browser that runs no scripts.
func withoutJavaScript(t *testing.T, s *system) {
	b := openBrowser(t, phone())
	b.do(protocol(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	b.open(s.shop("/"))
	b.follow(chromedp.Click(chromedp.CSS(`form[data-add="First Light"] button`)))
	b.shootOnly("no-script-basket")
	b.follow(chromedp.Click(chromedp.CSS(`a[href="/checkout"]`)))
	b.fill()
	b.follow(chromedp.Click(chromedp.CSS(`.sum button`)))
	made := b.order()
	s.await(t, made, "shipped", 10*time.Second)
	// The page looks again by itself.
	localtest.Eventually(t, "the page shows the parcel", 20*time.Second, func() bool {
		text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(`main`)))
		return err == nil && strings.Contains(text, "on its way")
	})
	b.shootOnly("no-script-shipped")
}

// shootOnly takes a picture where no script can look for more.
func (b *browser) shootOnly(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.fail(err)
	}
	keep(b.t, name+".png", picture)
}
