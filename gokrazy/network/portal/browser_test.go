//go:build linux

package portal

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a browser may take for everything, on a busy machine too.
const patience = 4 * time.Minute

// A phone is Chromium, with a phone's screen, in a network where every name leads to the
// portal: it is the proxy for all names and addresses.
type phone struct {
	t    *testing.T
	ctx  context.Context
	site atomic.Pointer[site]

	mu   sync.Mutex
	said []string // what a script has thrown, or the page's policy has refused
}

func newPhone(t *testing.T) *phone {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("skipped: chromium is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t: t}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.site.Load().ServeHTTP(w, r) })}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(390, 844),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("proxy-server", "http://"+l.Addr().String()), chromedp.Flag("proxy-bypass-list", "<-loopback>"))...)
	ctx, cancelTab := chromedp.NewContext(ctx)
	p.ctx = ctx
	p.do(chromedp.Navigate("about:blank"))
	var listening sync.WaitGroup
	listening.Go(func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return // the tab was closed
			}
			if text := m.String(); m.IsException() || strings.Contains(text, "Content Security Policy") {
				p.mu.Lock()
				p.said = append(p.said, text)
				p.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		cancelTab()
		cancelAllocator()
		cancel()
		listening.Wait()
		server.Close()
		serving.Wait()
	})
	p.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	return p
}

// join joins the set-up network of another camera.
func (p *phone) join(t *testing.T, s *site, script bool) {
	t.Helper()
	p.t = t
	p.site.Store(s)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script}); err != nil {
		t.Fatal(err)
	}
}

func (p *phone) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// until waits until an expression of the page is what is wanted.
func (p *phone) until(expression, want string) {
	p.t.Helper()
	var got string
	for p.ctx.Err() == nil {
		var err error
		if got, err = chromedp.Run(p.ctx, chromedp.Evaluate[string]("String("+expression+")")); err == nil && got == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.t.Fatalf("%s is %q, want %q", expression, got, want)
}

// keep writes a picture that a person may want to look at.
func (p *phone) keep(name string) {
	p.t.Helper()
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(p.t.ArtifactDir(), name), picture, 0o644)
	}
	if err != nil {
		p.t.Error(err)
	}
}

func (p *phone) wantQuiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.said) > 0 {
		p.t.Errorf("the console says %q", p.said)
	}
}

// A phone's own check opens the page, which is filled in and sent by the keyboard alone,
// with a mistake first, with scripts and without.
func TestBrowser(t *testing.T) {
	p := newPhone(t)
	for name, script := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			s := newSite(func(p *Portal) {
				p.Failure = "No network called \"Hom\" is heard."
				for _, name := range []string{"The Very Long Name Of A Network.", "Nextdoor"} {
					p.Seen = append(p.Seen, Seen{[]byte(name), -80, "WPA2"})
				}
			})
			p.join(t, s, script)
			p.do(chromedp.Navigate("http://connectivitycheck.gstatic.com/generate_204"))
			p.until("location.href", pageURL)
			p.until(`document.documentElement.scrollWidth`, "390")
			p.until(`[...document.querySelectorAll("[data-for]")].every(b => b.hidden)`, map[bool]string{true: "false", false: "true"}[script])
			// What a finger is to hit is at least 44 points high, as Apple asks for.
			p.until(`[...document.querySelectorAll("label.row, button:not([hidden]), select, input:not([type=radio]), footer a")].filter(e => e.offsetParent && e.getBoundingClientRect().height < 44).length`, "0")
			p.keep("form.png")

			tab := kb.Tab
			if script {
				tab = kb.Tab + kb.Tab // over the button that shows a password
			}
			type keys = chromedp.Action[chromedp.Void]
			press := func(k string) keys { return chromedp.KeyEvent(k) }
			p.do(press(kb.Tab), press(" "))
			p.until(`document.querySelector(":checked").value`, home)
			p.do(press(kb.Tab), press("short"), press(tab), press("Germ"), press(kb.Tab), press("garden"), press(kb.Tab), press("my own password"), press(kb.Enter))
			p.until(`document.querySelector("#wrong-key")?.textContent`, "A Wi-Fi password has at least 8 characters, and this one has 5.")
			p.until(`["camera", "country", "key", "password"].map(id => document.getElementById(id).value)`, "garden,DE,,")
			p.keep("wrong.png")
			if script {
				p.do(chromedp.Click(chromedp.CSS("[data-for=key]")))
				p.until(`document.getElementById("key").type`, "text")
				p.do(chromedp.Click(chromedp.CSS("[data-for=key]")))
				p.until(`document.getElementById("key").type`, "password")
			}
			p.do(chromedp.Focus(chromedp.CSS("#key")), press("correct horse"), chromedp.Focus(chromedp.CSS("#password")), press("my own password"), press(tab), press(kb.ArrowDown), press(kb.Enter))
			p.until(`document.querySelector(".big")?.textContent`, "http://garden.local/")
			p.until(`document.documentElement.scrollWidth`, "390")
			p.keep("leaving.png")
			p.wantQuiet()
			if s.submits != 1 || s.settings.Hostname != "garden" || s.settings.Country != "DE" || s.settings.Viewing != "closed" || len(s.settings.Networks) != 1 || string(s.settings.Networks[0].SSID) != "Home" || !strings.HasPrefix(s.settings.Password, "bcrypt-") {
				t.Errorf("submitted %d times: %+v", s.submits, s.settings)
			}
		})
	}
}
