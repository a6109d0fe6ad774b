package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A holder is a proxy that passes a stream on one part at a time. It passes a part with
// all that the server sends together with it, and holds everything later until it is
// told to go on. So a test can see which picture a client shows when it has got no more
// than that, however long the client takes.
type holder struct {
	url   string
	parts chan []byte   // the picture that was passed on
	next  chan struct{} // lets the next one pass
}

// hold makes a holder in front of a program, until the test is over.
func hold(t *testing.T, p *program) *holder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{url: "http://" + l.Addr().String(), parts: make(chan []byte), next: make(chan struct{})}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	over := make(chan struct{})
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		open = append(open, c)
	}
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
			if err != nil {
				client.Close()
				continue
			}
			keep(client)
			keep(server)
			serving.Go(func() { io.Copy(server, client); server.Close() })
			serving.Go(func() { h.answer(client, server, over); client.Close(); server.Close() })
		}
	})
	t.Cleanup(func() {
		close(over)
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return h
}

// answer passes answers on until the connection ends. It holds back the parts of those
// that are streams.
func (h *holder) answer(client io.Writer, server io.Reader, over <-chan struct{}) {
	in := bufio.NewReader(server)
	for {
		head, err := pass(client, in, "\r\n\r\n")
		if err != nil {
			return
		}
		answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
		if err != nil {
			return
		}
		switch kind := answer.Header.Get("Content-Type"); {
		case strings.HasPrefix(kind, "multipart/"):
			h.parted(client, in, over)
			return
		case kind == "application/octet-stream":
			h.records(client, in, over)
			return
		}
		if answer.ContentLength < 0 { // it goes to the connection's end
			io.Copy(client, in)
			return
		}
		if _, err := io.CopyN(client, in, answer.ContentLength); err != nil {
			return
		}
	}
}

// records passes on a stream of records (README.md, /frames).
func (h *holder) records(client io.Writer, in io.Reader, over <-chan struct{}) {
	for {
		head := make([]byte, 16)
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(head)
		body := make([]byte, length&^(1<<31))
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		isFrame := length > 0 && length>>31 == 0
		if _, err := client.Write(append(head, body...)); err != nil || isFrame && !h.passed(body, over) {
			return
		}
	}
}

// passed says which picture was passed on, and waits until the next one may pass. It
// returns false if the test is over.
func (h *holder) passed(jpeg []byte, over <-chan struct{}) bool {
	select {
	case h.parts <- jpeg:
	case <-over:
		return false
	}
	select {
	case <-h.next:
	case <-over:
		return false
	}
	return true
}

// parted passes on a multipart stream.
func (h *holder) parted(client io.Writer, in *bufio.Reader, over <-chan struct{}) {
	const boundary, ahead = "--frame\r\n", "Content-Type: image/jpeg\r\n\r\n"
	if _, err := pass(client, in, boundary); err != nil {
		return
	}
	for passed := 0; ; { // how many bytes of the next header the client has already
		head, err := readTo(in, "\r\n\r\n")
		if err != nil {
			return
		}
		if _, err := client.Write(head[passed:]); err != nil {
			return
		}
		part, err := pass(client, in, "\r\n"+boundary)
		if err != nil {
			return
		}
		// For some clients the next part's header goes ahead, as soon as there is one.
		passed = 0
		if early, err := in.Peek(len(ahead)); err == nil && string(early) == ahead {
			if passed, err = io.WriteString(client, ahead); err != nil {
				return
			}
		}
		if !h.passed(bytes.TrimSuffix(part, []byte("\r\n"+boundary)), over) {
			return
		}
	}
}

// pass passes on everything up to the end of mark, and returns it.
func pass(client io.Writer, in *bufio.Reader, mark string) (all []byte, err error) {
	if all, err = readTo(in, mark); err == nil {
		_, err = client.Write(all)
	}
	return all, err
}

func readTo(in *bufio.Reader, mark string) (all []byte, err error) {
	for !bytes.HasSuffix(all, []byte(mark)) {
		b, err := in.ReadByte()
		if err != nil {
			return all, err
		}
		all = append(all, b)
	}
	return all, nil
}
