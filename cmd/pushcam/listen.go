package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// listen opens the address that -listen names, or takes what systemd opened for
// us. Its errors say what to do. shared is for the appliance; see share.
func listen(ctx context.Context, address string, shared bool) ([]net.Listener, error) {
	if all, err := activated(); len(all) > 0 || err != nil {
		return all, err
	}
	l, err := listenOn(ctx, "-listen", address, shared)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// firstActivated is where systemd puts the sockets that it opened; see
// sd_listen_fds(3).
const firstActivated = 3

// activated returns the sockets of systemd's socket activation, none without it.
func activated() ([]net.Listener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > 64 {
		return nil, fmt.Errorf("LISTEN_FDS is %q, not a number of sockets", count)
	}
	var all []net.Listener
	for fd := firstActivated; fd < firstActivated+n; fd++ {
		f := os.NewFile(uintptr(fd), "LISTEN_FDS")
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("socket %d of systemd's %d cannot be listened on: %w", fd, n, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// listenOn opens the address that a flag names.
func listenOn(ctx context.Context, flag, address string, shared bool) (net.Listener, error) {
	var lc net.ListenConfig
	// By default Go speaks multipath TCP, whose sockets lack TCP_INFO, without which a
	// stream cannot be kept fresh.
	lc.SetMultipathTCP(false)
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(ctx, &lc, flag, path)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("%s %s is not an address with a port, as :8080 or 127.0.0.1:8080", flag, address)
	}
	if shared {
		share(&lc)
	}
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s is in use by another program; end that one or choose another port, as %s :8081", address[strings.LastIndex(address, ":")+1:], flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("only root may listen on %s; choose a port above 1023, as %s :8080", address, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this computer does not have the address of %s %s", flag, address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return l, nil
}

// maxSocketPath is the longest path that a unix socket has on every system, in
// bytes; see unix(7).
const maxSocketPath = 103

// listenUnix opens a unix socket. One that a dead program left behind is
// replaced; one that answers is not.
func listenUnix(ctx context.Context, lc *net.ListenConfig, flag, path string) (net.Listener, error) {
	if path == "" || len(path) > maxSocketPath {
		return nil, fmt.Errorf("%s unix: needs a path of 1 to %d bytes, as unix:/run/pushcam.sock", flag, maxSocketPath)
	}
	l, err := lc.Listen(ctx, "unix", path)
	switch {
	case err == nil:
		return l, nil
	case !errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on unix:%s: %w", path, err)
	}
	var d net.Dialer
	conn, dialErr := d.DialContext(ctx, "unix", path)
	if dialErr == nil {
		conn.Close()
		return nil, fmt.Errorf("another program serves on %s", path)
	}
	if info, statErr := os.Lstat(path); statErr != nil || info.Mode().Type() != os.ModeSocket || !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s is in the way: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("cannot replace the socket that another program left: %w", err)
	}
	return lc.Listen(ctx, "unix", path)
}

// greeting is the one line that says where to look: a link for this computer,
// and those for others on the network.
func greeting(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return "pushcam serves on " + a.Network() + ":" + a.String()
	}
	if ip := tcp.AddrPort().Addr().Unmap(); !ip.IsUnspecified() {
		return "pushcam is at " + link(ip.String(), tcp.Port)
	}
	line := "pushcam is at " + link("localhost", tcp.Port)
	if others := lanAddresses(); len(others) > 0 {
		for i := range others {
			others[i] = link(others[i], tcp.Port)
		}
		line += ", for others on your network at " + strings.Join(others, " ")
	}
	return line
}

func link(host string, port int) string {
	if port == 80 {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return "http://" + host + "/"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(port)) + "/"
}

// lanAddresses are this computer's addresses in a home or office network, IPv4
// only: they are what people can type.
func lanAddresses() []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // only the convenience of a link is lost
	}
	var all []string
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && p.Addr().IsPrivate() {
			all = append(all, p.Addr().String())
		}
	}
	slices.Sort(all)
	return all
}
