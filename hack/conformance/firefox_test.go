package conformance

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firefox is a headless Firefox with a profile of its own, spoken to by its
// Marionette protocol: "length:[0, id, command, parameters]" over TCP, answered
// by "length:[1, id, error, result]".
type firefox struct {
	conn net.Conn
	r    *bufio.Reader
	last int // id of the last command
}

func newFirefox(t *testing.T) *firefox { t.Helper(); return newFirefoxAt(t, here{}) }

func newFirefoxAt(t *testing.T, at place) *firefox {
	t.Helper()
	need(t, "firefox-esr")
	profile, home := t.TempDir(), t.TempDir()
	const settings = `user_pref("marionette.port", 0);
user_pref("network.dns.localDomains", "pushcam.test,page.test");
`
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	// System access is for reading the console.
	cmd := exec.Command("firefox-esr", "--headless", "--no-remote", "--profile", profile, "--marionette", "--remote-allow-system-access")
	cmd.Env = append(os.Environ(), "HOME="+home)
	if err := at.start(cmd); err != nil {
		t.Fatal(err)
	}
	f := new(firefox)
	t.Cleanup(func() {
		if f.conn != nil {
			f.call("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}}, nil)
			f.conn.Close()
		}
		timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer timer.Stop()
		cmd.Wait() // how Firefox ends does not matter
	})
	var port string
	await(t, func() string { return "Firefox to listen" }, func() bool {
		b, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		port = strings.TrimSpace(string(b))
		return err == nil && port != ""
	})
	err := at.do(func() (err error) {
		f.conn, err = net.Dial("tcp", "127.0.0.1:"+port)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.r = bufio.NewReader(f.conn)
	var hello struct{ MarionetteProtocol int }
	if err := f.read(&hello); err != nil || hello.MarionetteProtocol != 3 {
		t.Fatalf("Firefox greets with %+v, %v", hello, err)
	}
	// A page with a stream never finishes loading.
	const eager = `{"capabilities": {"alwaysMatch": {"pageLoadStrategy": "none"}}}`
	if err := f.call("WebDriver:NewSession", json.RawMessage(eager), nil); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *firefox) read(v any) error {
	f.conn.SetReadDeadline(time.Now().Add(patience))
	head, err := f.r.ReadString(':')
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(head, ":"))
	if err != nil || n < 0 || n > 64<<20 {
		return fmt.Errorf("Firefox announces %q bytes", head)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f.r, b); err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// call runs one command and stores its result.
func (f *firefox) call(command string, params, result any) error {
	f.last++
	b, err := json.Marshal([]any{0, f.last, command, params})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(b), b); err != nil {
		return err
	}
	var answer [4]json.RawMessage
	if err := f.read(&answer); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if failure := string(answer[2]); failure != "null" {
		return fmt.Errorf("%s: %s", command, failure)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer[3], result)
}

// firefoxTab is a tab of the one window, so that the others are hidden.
type firefoxTab struct {
	*firefox
	t      *testing.T
	handle string
}

func (f *firefox) newTab(t *testing.T) tab {
	t.Helper()
	var opened struct{ Handle string }
	if err := f.call("WebDriver:NewWindow", map[string]any{"type": "tab", "focus": true}, &opened); err != nil {
		t.Fatal(err)
	}
	return &firefoxTab{f, t, opened.Handle}
}

// do runs a command in the tab, which may be hidden.
func (tb *firefoxTab) do(command string, params map[string]any, result any) {
	tb.t.Helper()
	if err := tb.try(command, params, result); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *firefoxTab) try(command string, params map[string]any, result any) error {
	if err := tb.call("WebDriver:SwitchToWindow", map[string]any{"handle": tb.handle, "focus": false}, nil); err != nil {
		return err
	}
	return tb.call(command, params, result)
}

func (tb *firefoxTab) open(url string) {
	tb.t.Helper()
	tb.do("WebDriver:Navigate", map[string]any{"url": url}, nil)
	until(tb.t, tb, `document.readyState != "loading" && location.href != "about:blank"`)
}

func (tb *firefoxTab) eval(expression string, result any) {
	tb.t.Helper()
	script := "return (async () => JSON.stringify(await (" + expression + ")))()"
	var answer struct{ Value string }
	for range 10 {
		err := tb.try("WebDriver:ExecuteScript", map[string]any{"script": script, "args": []any{}, "sandbox": nil}, &answer)
		if left := err != nil && (strings.Contains(err.Error(), "unloaded") || strings.Contains(err.Error(), "discarded")); err != nil && !left {
			tb.t.Fatalf("%s: %v", expression, err)
		}
		if answer.Value != "" {
			break // else the page was left meanwhile
		}
	}
	decode(tb.t, answer.Value, result)
}

func (tb *firefoxTab) screenshot(selector string) []byte {
	tb.t.Helper()
	var found struct{ Value map[string]string } // one element's id by the standard's name for it
	tb.do("WebDriver:FindElement", map[string]any{"using": "css selector", "value": selector}, &found)
	for _, id := range found.Value {
		var shot struct{ Value string }
		tb.do("WebDriver:TakeScreenshot", map[string]any{"id": id, "full": false, "hash": false}, &shot)
		b, err := base64.StdEncoding.DecodeString(shot.Value)
		if err != nil {
			tb.t.Fatal(err)
		}
		return b
	}
	tb.t.Fatalf("Firefox finds no %s", selector)
	return nil
}

func (tb *firefoxTab) hide() { tb.t.Helper(); tb.newTab(tb.t).front() }

func (tb *firefoxTab) front() {
	tb.t.Helper()
	if err := tb.call("WebDriver:SwitchToWindow", map[string]any{"handle": tb.handle, "focus": true}, nil); err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *firefoxTab) complaints() []string {
	tb.t.Helper()
	var host string
	tb.eval("location.host", &host)
	tb.do("Marionette:SetContext", map[string]any{"value": "chrome"}, nil)
	defer tb.do("Marionette:SetContext", map[string]any{"value": "content"}, nil)
	var said struct{ Value []string }
	tb.do("WebDriver:ExecuteScript", map[string]any{"script": "return Services.console.getMessageArray().map(String)", "args": []any{}}, &said)
	var ours []string
	for _, m := range said.Value {
		if strings.Contains(m, host) {
			ours = append(ours, m)
		}
	}
	return ours
}

// decode stores what an expression gave, as JSON.
func decode(t *testing.T, text string, result any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), result); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}
