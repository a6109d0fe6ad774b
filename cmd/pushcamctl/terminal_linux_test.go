package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pushcam/pushcam/gokrazy/identity"
)

// pseudoTerminal is a terminal, and the keyboard and screen of who sits at it
// (pty(7)).
func pseudoTerminal(t *testing.T) (terminal, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	control, err := person.SyscallConn() // Fd would make reads ignore their deadline
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var failed error
	err = control.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := person.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return terminal, person
}

// echoes says whether a terminal shows what is typed.
func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// awaitNoEcho waits until a terminal, which is about to, does not show what is typed.
func awaitNoEcho(t *testing.T, terminal *os.File) {
	t.Helper()
	for late := time.Now().Add(time.Minute); echoes(t, terminal); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the terminal shows what is typed")
		}
	}
}

// see reads the screen up to a text.
func see(t *testing.T, screen *bufio.Reader, text string) (all string) {
	t.Helper()
	for !strings.HasSuffix(all, text) {
		b, err := screen.ReadByte()
		if err != nil {
			t.Fatalf("the screen shows %q, not %q: %v", all, text, err)
		}
		all += string(b)
	}
	return all
}

const prompt = "The owner's password of 127.0.0.1: "

func TestTerminalPassword(t *testing.T) {
	tests := []struct {
		name, typed, want, fails string
	}{
		{"a password", "the owner's\n", "the owner's", ""},
		{"with blanks", " correct  horse \n", " correct  horse ", ""},
		{"corrected", "wrong\x7f\x7f\x7f\x7f\x7fright\n", "right", ""},
		{"nothing", "\n", "", "nothing was entered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			terminal, person := pseudoTerminal(t)
			screen := bufio.NewReader(person)
			type answer struct {
				text string
				err  error
			}
			answers := make(chan answer, 1)
			go func() {
				text, err := terminalPassword(terminal, terminal)(t.Context(), prompt)
				answers <- answer{text, err}
			}()
			see(t, screen, prompt)
			awaitNoEcho(t, terminal)
			io.WriteString(person, tt.typed)
			a := <-answers
			if a.text != tt.want || (a.err == nil) != (tt.fails == "") || a.err != nil && !strings.Contains(a.err.Error(), tt.fails) {
				t.Errorf("%q, %v; want %q, %q", a.text, a.err, tt.want, tt.fails)
			}
			if shown := see(t, screen, "\n"); shown != "\r\n" {
				t.Errorf("the screen shows %q", shown)
			}
			if !echoes(t, terminal) {
				t.Error("the terminal does not show what is typed any more")
			}
		})
	}
}

// Ctrl-C is a signal, which ends the context.
func TestTerminalPasswordIsStopped(t *testing.T) {
	terminal, person := pseudoTerminal(t)
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := terminalPassword(terminal, terminal)(ctx, prompt)
		ended <- err
	}()
	see(t, bufio.NewReader(person), prompt)
	awaitNoEcho(t, terminal)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if !echoes(t, terminal) {
		t.Error("the terminal does not show what is typed any more")
	}
	// What still reads ends, and sets the terminal back by its descriptor's number,
	// which is the next test's when this one is over.
	io.WriteString(person, "\n")
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// Only a terminal can be asked.
func TestNoTerminal(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if terminalPassword(file, io.Discard) != nil {
		t.Errorf("%s is no terminal", file.Name())
	}
}

// The whole command asks at a terminal, and shows the log.
func TestLogsAtATerminal(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { guarded(w, r, "r1", 1, "line") }))
	defer server.Close()
	terminal, person := pseudoTerminal(t)
	host := strings.TrimPrefix(server.URL, "https://")
	p := &program{askPassword: terminalPassword(terminal, terminal), dial: new(net.Dialer).DialContext}
	type result struct {
		stdout, stderr string
		code           int
	}
	results := make(chan result, 1)
	go func() {
		stdout, stderr, code := try(t, p, "logs", "-follow=false", "-key", identity.Fingerprint(server.Certificate()), host)
		results <- result{stdout, stderr, code}
	}()
	see(t, bufio.NewReader(person), "The owner's password of "+host+": ")
	awaitNoEcho(t, terminal)
	io.WriteString(person, "the owner's\n")
	if got, want := <-results, (result{"line\n", "", 0}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
