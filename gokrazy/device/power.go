package device

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrNotGokrazy is wrapped by errors that mean that this program does not run on
// gokrazy, and so must not turn the machine off.
var ErrNotGokrazy = errors.New("this system is not run by gokrazy")

// Power turns off the appliance on which this program runs, or starts it anew.
// The zero value is ready.
type Power struct {
	// Root is where /run, /proc, /perm and /etc are looked for.
	Root Root
	// Log gets a line when gokrazy had to be asked in another way. nil
	// discards it.
	Log *slog.Logger

	kill    func(pid int, sig syscall.Signal) error // nil means the real one
	silence time.Duration                           // instead of maxSilence
}

const (
	// httpSocket is where gokrazy's web interface listens for root.
	// (github.com/gokrazy/gokrazy, HTTPUnixSocket)
	httpSocket = "run/gokrazy-http.sock"
	// initPath is what PID 1 runs on gokrazy.
	initPath = "/gokrazy/init"
	// perSignal is how long gokrazy waits for programs to end after SIGTERM,
	// and again after SIGKILL.
	perSignal = 2 * time.Second
	// maxSilence is how long an answer is waited for. gokrazy refuses a request
	// at once, but answers one that it accepts only when all programs have
	// ended, this one included. So no answer in that time means yes.
	maxSilence = time.Second
	// maxAnswer bounds how much of an answer is read, in bytes.
	maxAnswer = 16 << 10
)

// request is one of the things that gokrazy can be asked for.
type request struct {
	name   string
	path   string
	signal syscall.Signal // the same, asked of PID 1 (gokrazy's signals.go)
}

// Off has gokrazy end all programs, this one included (SIGTERM, and SIGKILL 2 s
// later), unmount /perm and power off. It returns nil when that has begun.
//
// gokrazy is asked over its unix socket and, when that fails and PID 1 is really
// gokrazy's, with a signal, after which programs have 100 s to end. Everywhere
// else the error wraps ErrNotGokrazy and nothing has happened. What is to
// survive must be on the card before Off is called.
func (p *Power) Off(ctx context.Context) error {
	return p.ask(ctx, request{"power off", "/poweroff", sigPowerOff})
}

// Reboot is as Off, and then the system starts again.
func (p *Power) Reboot(ctx context.Context) error {
	return p.ask(ctx, request{"reboot", "/reboot", sigReboot})
}

func (p *Power) ask(ctx context.Context, r request) error {
	err := p.post(ctx, r.path)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", r.name, err)
	case !p.onGokrazy() && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", r.name, ErrNotGokrazy)
	case !p.onGokrazy():
		return fmt.Errorf("%s: %w (%w)", r.name, ErrNotGokrazy, err)
	}
	if p.Log != nil {
		p.Log.Warn("gokrazy's web interface cannot "+r.name+"; sending its init a signal", "signal", r.signal, "err", err)
	}
	kill := p.kill
	if kill == nil {
		kill = killProcess
	}
	if kerr := kill(1, r.signal); kerr != nil {
		return fmt.Errorf("%s: %w; and by signal: %w", r.name, err, kerr)
	}
	return nil
}

// post sends a request to gokrazy and returns nil when it was not refused.
//
// It does not set async=true, with which gokrazy cuts the power after one second,
// whether or not programs have ended and /perm is unmounted (gokrazy's update.go,
// powerHandler).
func (p *Power) post(ctx context.Context, path string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", p.Root.Path(httpSocket))
	if err != nil {
		return err
	}
	defer conn.Close()
	silence := p.silence
	if silence <= 0 {
		silence = maxSilence
	}
	if err := conn.SetDeadline(time.Now().Add(silence)); err != nil {
		return err
	}

	form := url.Values{"wait_per_signal": {perSignal.String()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gokrazy"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// The socket asks for the password as well, where the image has one
	// (gokrazy's authenticated.go).
	if password := gokrazyPassword(p.Root); password != "" {
		req.SetBasicAuth("gokrazy", password)
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("send to gokrazy: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), req)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	case err != nil:
		return fmt.Errorf("answer of gokrazy: %w", err)
	case resp.StatusCode != http.StatusOK:
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // what there is of it
		return fmt.Errorf("gokrazy answered %s: %q", resp.Status, strings.TrimSpace(string(why)))
	}
	return nil
}

// gokrazyPassword looks where gokrazy looks (its readConfigFile). None is fine.
func gokrazyPassword(root Root) string {
	for _, dir := range []string{"perm", "etc", ""} {
		if b, err := os.ReadFile(root.Path(dir, "gokr-pw.txt")); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
	return ""
}

func (p *Power) onGokrazy() bool {
	exe, err := os.Readlink(p.Root.Path("proc/1/exe"))
	return err == nil && exe == initPath
}
