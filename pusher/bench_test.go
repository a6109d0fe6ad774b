package pusher

import (
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

// loopbackViewer is a viewer on a real TCP connection, whose other end is read
// and thrown away.
func loopbackViewer(tb testing.TB) (*viewer, *Hub, func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(io.Discard, conn)
	}()
	conn, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	return newViewer(conn, 10*time.Second, new(ageHistogram)), NewHub(nil), func() {
		conn.Close()
		l.Close()
		<-drained
	}
}

func BenchmarkSend(b *testing.B) {
	v, h, done := loopbackViewer(b)
	defer done()
	f := testFrame(1)
	f.JPEG = make([]byte, 100_000)
	h.Publish(f)
	p := h.newest.Load()
	b.SetBytes(int64(len(f.JPEG)))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.send(b.Context(), p, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish is a frame on its way to all who wait for it.
func BenchmarkPublish(b *testing.B) {
	for _, viewers := range []int{0, 1, maxPushed, 3 * maxPushed} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			h, crowd, done := crowd(b, viewers, false)
			defer done()
			jpeg := make([]byte, 100_000)
			b.ReportAllocs()
			for seq := uint64(1); b.Loop(); seq++ {
				deliver(h, crowd, jpeg, seq)
			}
		})
	}
}

// BenchmarkWriteFloor is the same bytes through one plain Write: what no
// server can be cheaper than without sharing pages with the kernel.
func BenchmarkWriteFloor(b *testing.B) {
	v, _, done := loopbackViewer(b)
	defer done()
	buf := make([]byte, 100_000)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.conn.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkState is what each open page asks for every 5 s, and what it would be
// with all viewers in it.
func BenchmarkState(b *testing.B) {
	const viewers = 100
	s := &Server{Hub: NewHub(nil), sessions: newSessions(fixed(1)), viewers: make(map[*viewer]struct{})}
	for i := range viewers {
		v := &viewer{address: fmt.Sprintf("192.0.2.%d:54321", i), name: fmt.Sprintf("%027d", i)}
		s.viewers[v] = struct{}{}
	}
	s.Hub.Publish(testFrame(1))
	for name, path := range map[string]string{"whole": "/state", "page": "/state?viewer=000000000000000000000000042"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", path, nil)
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				s.state(w, r)
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "B/answer")
		})
	}
}
