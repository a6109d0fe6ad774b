package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// On the appliance, the page of the set-up network is at one address and the camera at
// all others, by the same port, whoever comes first. On a PC a second program is
// refused, by whatever address.
func TestSharedPort(t *testing.T) {
	// As gokrazy/network/portal listens, but for the link, which is root's to choose.
	portal := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	says := func(l net.Listener, text string) {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, text)
				c.Close()
			}
		}()
	}
	wantAt := func(host string, port int, want string) {
		t.Helper()
		c, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if text, err := io.ReadAll(c); string(text) != want {
			t.Errorf("%s says %q, %v, want %q", host, text, err, want)
		}
	}
	ctx := t.Context()
	camera, err := listenOn(ctx, "-listen", ":0", true)
	if err != nil {
		t.Fatal(err)
	}
	says(camera, "camera")
	port := camera.Addr().(*net.TCPAddr).Port
	page, err := portal.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.2:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	says(page, "page")
	wantAt("127.0.0.2", port, "page")
	wantAt("127.0.0.1", port, "camera")
	camera.Close()
	if camera, err = listenOn(ctx, "-listen", fmt.Sprintf(":%d", port), true); err != nil {
		t.Fatalf("the camera's program started anew: %v", err)
	}
	defer camera.Close()
	says(camera, "camera anew")
	wantAt("127.0.0.2", port, "page")
	wantAt("127.0.0.1", port, "camera anew")

	alone, err := listenOn(ctx, "-listen", ":0", false)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	port = alone.Addr().(*net.TCPAddr).Port
	if l, err := portal.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.2:%d", port)); err == nil {
		l.Close()
		t.Error("on a PC, the port is shared")
	}
	if l, err := listenOn(context.Background(), "-listen", fmt.Sprintf(":%d", port), true); err == nil || !strings.Contains(err.Error(), "in use") {
		l.Close()
		t.Errorf("on a PC, the port is shared: %v", err)
	}
}
