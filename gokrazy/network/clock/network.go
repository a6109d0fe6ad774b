package clock

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/beevik/ntp"
)

// lookup asks the name servers of the system.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// query asks a server for the time. The library takes an answer only with the random
// number that it has asked with, so that it is from the server, or from somebody on the
// way to it.
func query(ctx context.Context, server netip.AddrPort) (*ntp.Response, error) {
	var stop func() bool
	answer, err := ntp.QueryWithOptions(server.String(), ntp.QueryOptions{
		Timeout: queryTimeout,
		Dialer: func(_, remote string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "udp", remote)
			if err != nil {
				return nil, err
			}
			stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
			return patientConn{conn}, nil
		},
	})
	if stop != nil {
		stop()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return answer, err
}

// A patientConn reads until its deadline although somebody says that nobody answers at the
// other end. That comes by ICMP, which anybody can send, and may be faster than the answer.
type patientConn struct{ net.Conn }

func (c patientConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return n, err
		}
	}
}
