//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A tab of Chromium, in which names below .local and .example lead to this computer, as the
// machine's ports do. What needs the machine to answer may take as long as getTimeout.
type tab struct {
	ctx context.Context
	m   *machine
}

// newTab starts a Chromium, which ends with the test.
func newTab(t *testing.T, m *machine) *tab {
	t.Helper()
	need(t, "chromium")
	ctx, cancelAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.IgnoreCertErrors,
		chromedp.WindowSize(1280, 800), chromedp.Flag("disable-component-update", true), chromedp.Flag("host-resolver-rules", "MAP *.local 127.0.0.1, MAP *.example 127.0.0.1"))...)
	t.Cleanup(cancelAllocator)
	return openTab(t, m, ctx)
}

// another opens a window beside it, with the same logins, until the test ends.
func (tb *tab) another(t *testing.T) *tab {
	t.Helper()
	return openTab(t, tb.m, tb.ctx, chromedp.WithNewWindow(true))
}

func openTab(t *testing.T, m *machine, ctx context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx, options...)
	t.Cleanup(cancel)
	// The tab ends with the context of what is done in it first.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &tab{ctx, m}
}

func run[T any](t *testing.T, tb *tab, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, getTimeout)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("Chromium: %v", err)
	}
	return result
}

func (tb *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	run(t, tb, chromedp.Steps(steps...))
}

func (tb *tab) open(t *testing.T, url string) { t.Helper(); tb.do(t, chromedp.Navigate(url)) }

// until waits until a JavaScript expression is true.
func (tb *tab) until(t *testing.T, expression string) {
	t.Helper()
	tb.m.await(t, expression, func() error {
		ctx, cancel := context.WithTimeout(tb.ctx, getTimeout)
		defer cancel()
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(`+expression+`) ? "" : "it is not so on " + location + ": " + document.body.innerText.slice(0, 3000)`))
		if err == nil && text != "" {
			err = errors.New(text)
		}
		return err
	})
}

// shot is an artifact.
func (tb *tab) shot(t *testing.T, name string) {
	t.Helper()
	keep(t, name, run(t, tb, chromedp.Screenshot(chromedp.CSS("body"))))
}

const (
	// theWord is what the page says of its picture.
	theWord = `document.getElementById("word")?.textContent`
	// moves is the expression for a picture that moves; it is slow on a busy machine.
	moves = `/^(live|slow)$/.test(` + theWord + `) && document.getElementById("picture").width > 0`
)

// look opens the viewer's page, which notes from now on when it says what of its picture.
func (tb *tab) look(t *testing.T) {
	t.Helper()
	tb.open(t, tb.m.url+"/")
	tb.until(t, moves)
	tb.until(t, `(word => (window.said = [], new MutationObserver(() => said.push([word.textContent, Date.now()]))
		.observe(word, { childList: true, characterData: true, subtree: true }), true))(document.getElementById("word"))`)
}

// heals waits until the same page, which nobody has loaded anew, has a picture again after
// its camera was lost, and gives the time of that.
func (tb *tab) heals(t *testing.T) time.Time {
	t.Helper()
	const again = `window.said?.slice(said.findLastIndex(([word]) => word === "camera lost")).find(([word]) => word === "live" || word === "slow")`
	tb.until(t, moves+` && `+again)
	return time.UnixMilli(int64(run(t, tb, chromedp.Evaluate[float64](again+`[1]`))))
}

// logIn waits until the owner's page asks for the password, types it, and waits for what it
// opens.
func (tb *tab) logIn(t *testing.T, password string) {
	t.Helper()
	tb.until(t, `document.getElementById("login")?.hidden === false`)
	tb.do(t, chromedp.Focus(chromedp.CSS("#password")), chromedp.KeyEvent(password+kb.Enter))
	tb.until(t, `document.getElementById("owner").hidden === false && document.querySelectorAll("section").length > 5`)
}

// logOut ends the page's login, and waits for the form for another one.
func (tb *tab) logOut(t *testing.T) {
	t.Helper()
	tb.press(t, "Log out")
	tb.until(t, `document.getElementById("login")?.hidden === false && document.querySelectorAll("section").length === 0`)
}

// input is the expression for what has a label, and wrong for what is said beside it.
func input(label string) string {
	return fmt.Sprintf(`document.getElementById([...document.querySelectorAll("label")].find(l => l.textContent === %q)?.htmlFor)`, label)
}

func wrong(label string) string {
	return input(label) + `.closest(".field").querySelector(".wrong").textContent`
}

// begin types into an input, and set leaves it, too.
func (tb *tab) begin(t *testing.T, label, value string) {
	t.Helper()
	tb.until(t, fmt.Sprintf(`(i => i && !i.disabled && (i.value = %q, i.dispatchEvent(new Event("input", { bubbles: true }))))(%s)`, value, input(label)))
}

func (tb *tab) finish(t *testing.T, label string) {
	t.Helper()
	tb.until(t, input(label)+`.dispatchEvent(new Event("change", { bubbles: true }))`)
}

func (tb *tab) set(t *testing.T, label, value string) {
	t.Helper()
	tb.begin(t, label, value)
	tb.finish(t, label)
}

// reset takes a setting back.
func (tb *tab) reset(t *testing.T, label string) {
	t.Helper()
	button := input(label) + `.closest(".field").querySelector(".reset")`
	tb.until(t, `!`+button+`.hidden && `+button+`.click() === undefined`)
	tb.until(t, button+`.hidden`)
}

// press presses a button as soon as it is there.
func (tb *tab) press(t *testing.T, text string) {
	t.Helper()
	tb.until(t, `(b => b && (b.click(), true))(`+buttonOf(text)+`)`)
}

func buttonOf(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("button")].find(b => b.textContent === %q && b.checkVisibility() && !b.ariaBusy)`, text)
}

// sure presses a button that asks questions, and says no to the first, then to the second and
// so on, and yes to all in the end. Until then the page has sent no action to the camera.
func (tb *tab) sure(t *testing.T, text string, questions ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(tb.ctx)
	defer cancel()
	asked := make(chan string, 2)
	err := chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*page.EventJavascriptDialogOpening); ok {
			asked <- e.Message
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for yeses := range len(questions) + 1 {
		// While it asks the page stands still, and whoever has pressed would wait for it.
		tb.until(t, `(b => b && !performance.getEntriesByType("resource").some(e => e.name.includes("/api/actions/")) && (setTimeout(() => b.click()), true))(`+buttonOf(text)+`)`)
		for i, question := range questions[:min(yeses+1, len(questions))] {
			select {
			case said := <-asked:
				if !strings.Contains(said, question) {
					t.Errorf("%q asks %q, want %q", text, said, question)
				}
			case <-time.After(getTimeout):
				t.Fatalf("%q does not ask %q", text, question)
			}
			if _, err := chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: i < yeses}); err != nil {
				t.Fatalf("answer %q: %v", question, err)
			}
		}
	}
}
