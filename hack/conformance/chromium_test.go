package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// chromium is a headless Chromium with a profile of its own. Names under .test lead to
// this machine. To such a name Chromium sends the headers that it sends on a LAN,
// which are without the Sec-Fetch headers that it sends to localhost.
type chromium struct {
	ctx context.Context // of its window
}

func newChromium(t *testing.T, more ...chromedp.ExecAllocatorOption) chromium {
	t.Helper()
	need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1280, 800),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, append(options, more...)...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancelTab(); cancelAllocator(); cancel() })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return chromium{ctx}
}

// chromiumTab is a tab of the one window, so that the others are hidden.
type chromiumTab struct {
	t       *testing.T
	ctx     context.Context
	browser chromium

	mu   sync.Mutex
	said []string
}

func (c chromium) newTab(t *testing.T) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithNewWindow(false))
	tb := &chromiumTab{t: t, ctx: ctx, browser: c}
	tb.do(chromedp.Navigate("about:blank"))
	messages := chromedp.Console(ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the tab was closed
			}
			if m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning {
				tb.mu.Lock()
				tb.said = append(tb.said, m.String())
				tb.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { cancel(); listening.Wait() })
	tb.front()
	return tb
}

func (tb *chromiumTab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, steps...); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *chromiumTab) open(url string) { tb.t.Helper(); tb.do(chromedp.Navigate(url)) }

func (tb *chromiumTab) eval(expression string, result any) {
	tb.t.Helper()
	step := chromedp.Evaluate[string]("(async () => JSON.stringify(await ("+expression+")))()", chromedp.EvalAwaitPromise)
	text, err := chromedp.Run(tb.ctx, step)
	for tries := 0; err != nil && strings.Contains(err.Error(), "navigated or closed") && tries < 10; tries++ { // the page was left meanwhile
		text, err = chromedp.Run(tb.ctx, step)
	}
	if err != nil {
		tb.t.Fatalf("%s: %v", expression, err)
	}
	decode(tb.t, text, result)
}

func (tb *chromiumTab) screenshot(selector string) []byte {
	tb.t.Helper()
	shot, err := chromedp.Run(tb.ctx, chromedp.Screenshot(chromedp.CSS(selector)))
	if err != nil {
		tb.t.Fatal(fmt.Errorf("a screenshot of %s: %w", selector, err))
	}
	return shot
}

func (tb *chromiumTab) hide() { tb.t.Helper(); tb.browser.newTab(tb.t) }

func (tb *chromiumTab) front() {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, page.BringToFront, cdp.Empty{}); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *chromiumTab) complaints() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return slices.Clone(tb.said)
}
