package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// screen is what a customer holds in hand.
type screen struct {
	name          string
	width, height int64
	mobile        bool
	dark          bool
}

func phone() screen   { return screen{name: "phone", width: 390, height: 844, mobile: true} }
func desktop() screen { return screen{name: "desktop", width: 1440, height: 900} }

// browser is one window of Chromium, with no history.
type browser struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // chromedp's way to name a window
	screen screen
	shots  int
	// complaints are errors that a page has logged or thrown.
	complaints []string
}

// browserTimeout bounds all that a test does in a browser.
const browserTimeout = 2 * time.Minute

func openBrowser(t *testing.T, at screen) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, chromedp.ExecPath(tool(t, "chromium", "chromium")),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, screen: at}
	var options []chromedp.EmulateViewportOption
	if at.mobile {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.do(chromedp.EmulateViewport(at.width, at.height, options...))
	if at.dark {
		b.do(protocol(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
		}))
	}
	b.listen()
	return b
}

// protocol is a command of Chromium's as a step.
func protocol[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

// listen gathers what a page complains of.
func (b *browser) listen() {
	err := chromedp.Listen(b.ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, "uncaught: "+e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			if e.Type == "error" {
				b.complaints = append(b.complaints, "console: an error was logged")
			}
		case *network.EventResponseReceived:
			if e.Response.Status >= 500 {
				b.complaints = append(b.complaints, fmt.Sprintf("%d from %s", e.Response.Status, e.Response.URL))
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		for _, complaint := range b.complaints {
			b.t.Errorf("%s: %s", b.screen.name, complaint)
		}
	})
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.fail(err)
	}
}

// fail shows what the window showed.
func (b *browser) fail(err error) {
	b.t.Helper()
	title, _ := chromedp.Run(b.ctx, chromedp.Title())
	address, _ := chromedp.Run(b.ctx, chromedp.Location())
	if shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot()); err == nil {
		keep(b.t, b.screen.name+"-failed.png", shot)
	}
	b.t.Fatalf("%s: on %q at %s: %v", b.screen.name, title, address, err)
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// follow does what leads to another page, and waits for that.
func (b *browser) follow(step chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, step)); err != nil {
		b.fail(err)
	}
}

// evaluate asks the page.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail(fmt.Errorf("%s: %w", expression, err))
	}
	return value
}

// until waits for something to become true of the page.
func (b *browser) until(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		b.fail(fmt.Errorf("%s: %w", expression, err))
	}
}

// shoot takes a picture of the page and looks for what keeps people out: axe's
// rules, and a page wider than its window.
func (b *browser) shoot(name string) {
	b.t.Helper()
	b.shots++
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.fail(err)
	}
	keep(b.t, fmt.Sprintf("%s-%02d-%s.png", b.screen.name, b.shots, name), picture)
	if over := evaluate[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
		b.t.Errorf("%s: %s is %d pixels wider than the window", b.screen.name, name, over)
	}
	b.axe(name)
}

// axe runs axe-core in the page.
func (b *browser) axe(name string) {
	b.t.Helper()
	script := filepath.Join("node_modules", "axe-core", "axe.min.js")
	source, err := os.ReadFile(script)
	if err != nil {
		b.t.Fatalf("this test needs %s: run npm ci --ignore-scripts in infra/local/e2e", script)
	}
	b.do(chromedp.Evaluate[chromedp.Void](string(source)))
	found := evaluate[json.RawMessage](b, `axe.run(document, {iframes: false, resultTypes: ["violations"]}).then((result) =>
		result.violations.map((v) => v.id + " (" + v.impact + "): " + v.help + ": " + v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 3).join(" | ")))`)
	var violations []string
	if err := json.Unmarshal(found, &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, violation := range violations {
		b.t.Errorf("%s: %s: %s", b.screen.name, name, violation)
	}
}

// fill types into the fields of the checkout.
func (b *browser) fill() {
	b.t.Helper()
	for field, value := range map[string]string{
		"name": customerName, "email": customerEmail, "line1": customerLine1, "city": "Kraków", "postal_code": "30-001",
	} {
		b.do(chromedp.SendKeys(chromedp.ID(field), value))
	}
	b.do(chromedp.SetValue(chromedp.ID("country"), "PL"))
	b.do(chromedp.Click(chromedp.CSS(`input[name=payment_method][value=` + visa + `]`)))
}

// order is the order that the window shows.
func (b *browser) order() accepted {
	b.t.Helper()
	address, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.fail(err)
	}
	_, rest, _ := strings.Cut(address, "/orders/")
	id, query, found := strings.Cut(rest, "?token=")
	if !found {
		b.t.Fatalf("%s is not the address of an order", address)
	}
	return accepted{ID: id, Token: query, Number: id}
}
