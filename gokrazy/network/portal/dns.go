//go:build linux

package portal

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// maxQuery is how much of a question is read, in bytes: a name has 255, and what comes
// after it is not looked at.
const maxQuery = 1232

// serveNames answers on conn, which it closes, until ctx is done or conn fails.
func serveNames(ctx context.Context, conn net.PacketConn) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for query := make([]byte, maxQuery); ; {
		n, from, err := conn.ReadFrom(query)
		if ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			return fmt.Errorf("DNS: %w", err)
		}
		if answer := answerName(query[:n]); answer != nil {
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			conn.WriteTo(answer, from) // what is lost is asked again
		}
	}
}

// answerName is the answer to a question of DNS (RFC 1035), or nil: every name has the
// page's address and no other record. The question may be anything.
func answerName(query []byte) []byte {
	var p dnsmessage.Parser
	asked, err := p.Start(query)
	if err != nil || asked.Response {
		return nil
	}
	h := dnsmessage.Header{
		ID: asked.ID, Response: true, OpCode: asked.OpCode,
		Authoritative: true, RecursionDesired: asked.RecursionDesired, RecursionAvailable: true,
	}
	q, err := p.Question()
	switch {
	case asked.OpCode != 0:
		h.RCode = dnsmessage.RCodeNotImplemented
	case err != nil:
		h.RCode = dnsmessage.RCodeFormatError
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), h)
	b.EnableCompression()
	if h.RCode == dnsmessage.RCodeSuccess {
		if b.StartQuestions() != nil || b.Question(q) != nil || b.StartAnswers() != nil {
			return nil
		}
		if (q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeALL) && q.Class == dnsmessage.ClassINET {
			// Not to be kept: in the next network the name has its own address.
			about := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}
			if b.AResource(about, dnsmessage.AResource{A: Address.Addr().As4()}) != nil {
				return nil
			}
		}
	}
	answer, err := b.Finish()
	if err != nil {
		return nil
	}
	return answer
}
