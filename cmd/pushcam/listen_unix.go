//go:build unix

package main

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets a program with a more particular address listen at the same port: on the
// appliance, the page of the set-up network stands at the port 80 of one address of its
// own (gokrazy/network/portal). On a PC it would hide that another program is there.
func share(lc *net.ListenConfig) {
	lc.Control = func(_, _ string, raw syscall.RawConn) error {
		var set error
		if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); err != nil {
			return err
		}
		return set
	}
}
