package pusher

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/hack/bottleneck"
	"github.com/pushcam/pushcam/pusher/pushertest"
)

const (
	cellWarmUp = 3 * time.Second // connections leave slow start
	cellChange = 3 * time.Second // of the time after a change that counts
	cellFrame  = 100_000         // bytes
	cellRate   = 30              // frames per second
	// cellLate is how late the emulator may run in a cell that counts.
	cellLate = 15 * time.Millisecond
	cellRuns = 4
)

// A cell is one condition of a link with one viewer on it.
type cell struct {
	name   string
	path   bottleneck.Path
	then   *bottleneck.Path // the path from the end of the warm-up on
	length time.Duration    // what is measured
	plain  bool             // the server's viewer without its gate

	// Bounds; 0 means none.
	maxAge  time.Duration // p50
	minRate float64       // frames per second
	// versusPlain bounds p50 by this share of a plain sender's.
	versusPlain float64
}

// ages are the frames of a cell, in the order in which they arrived.
type ages []time.Duration

func (a ages) quantile(q float64) time.Duration {
	if len(a) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(a))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// TestFreshness measures how old frames are behind an emulated bottleneck, and
// how many arrive. It needs root, and takes 11 s with -parallel 6: hack/test sets
// PUSHCAM_FRESHNESS=1 for it.
func TestFreshness(t *testing.T) {
	if os.Getenv("PUSHCAM_FRESHNESS") == "" {
		t.Skip("set PUSHCAM_FRESHNESS=1 to measure behind an emulated bottleneck, as root")
	}
	bottleneck.RealTime()
	probe, err := bottleneck.New(bottleneck.Path{})
	switch {
	case err == nil:
		if err := probe.Close(); err != nil {
			t.Fatal(err)
		}
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	mbit := func(rate float64, rtt, buffer time.Duration) bottleneck.Path {
		return bottleneck.Path{Rate: rate * 1e6, RTT: rtt, Buffer: bottleneck.BufferFor(rate*1e6, buffer)}
	}
	const ms = time.Millisecond
	slow := mbit(4, 20*ms, time.Second)
	far := mbit(12, 100*ms, 200*ms)
	lossy := mbit(12, 20*ms, 200*ms)
	lossy.Loss = 0.02
	before := mbit(20, 20*ms, 200*ms)
	after := before
	after.Rate = 4e6
	cells := []cell{
		{name: "4 Mbit", path: slow, length: 7 * time.Second, minRate: 4.3, maxAge: 330 * ms, versusPlain: 0.6},
		{name: "RTT 200", path: mbit(0, 200*ms, 0), length: 7 * time.Second, minRate: 27},
		{name: "RTT 100 12 Mbit", path: far, length: 7 * time.Second, minRate: 12.5, maxAge: 210 * ms},
		{name: "drop 20 to 4 Mbit", path: before, then: &after, length: cellChange, maxAge: 320 * ms, versusPlain: 0.6},
	}
	known, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err != nil {
		t.Error(err)
	}
	if os.Getenv("CI") == "true" || strings.Contains(string(known), "bbr") {
		cells = append(cells, cell{name: "12 Mbit 2 % loss", path: lossy, length: 5 * time.Second, minRate: 10, maxAge: 160 * ms})
	} else {
		t.Logf("a lossy link is not tried: this kernel has no BBR, only %s", known)
	}
	for _, c := range cells {
		if c.versusPlain > 0 {
			p := c
			p.name, p.plain = c.name+" plain", true
			p.maxAge, p.minRate, p.versusPlain = 0, 0, 0
			cells = append(cells, p)
		}
	}
	var mu sync.Mutex
	median := make(map[string]time.Duration)
	t.Run("cells", func(t *testing.T) {
		for _, c := range cells {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				got := c.measure(t)
				rate := float64(len(got)) / c.length.Seconds()
				p50 := got.quantile(0.5)
				t.Logf("%.1f fps, age p50 %v p99 %v", rate, p50.Round(ms), got.quantile(0.99).Round(ms))
				mu.Lock()
				median[c.name] = p50
				mu.Unlock()
				if rate < c.minRate {
					t.Errorf("%.1f frames per second, want at least %.1f", rate, c.minRate)
				}
				if c.maxAge > 0 && (len(got) == 0 || p50 > c.maxAge) {
					t.Errorf("median age %v, want at most %v", p50, c.maxAge)
				}
			})
		}
	})
	for _, c := range cells {
		plain := median[c.name+" plain"]
		if c.versusPlain > 0 && (plain == 0 || median[c.name].Seconds() > c.versusPlain*plain.Seconds()) {
			t.Errorf("%s: median age %v, want at most %v × a plain sender's %v", c.name, median[c.name], c.versusPlain, plain)
		}
	}
}

// measure runs the cell until the emulator was in time.
func (c cell) measure(t *testing.T) ages {
	for range cellRuns {
		got, late := c.run(t)
		if late <= cellLate {
			return got
		}
		t.Logf("the emulator was %v late: once more", late)
	}
	t.Fatalf("the machine was too busy: the emulator was late in each of %d runs", cellRuns)
	return nil
}

// run runs the cell once: the real server, or its viewer without a gate, and a
// client at the other end of the link.
func (c cell) run(t *testing.T) (ages, time.Duration) {
	link, err := bottleneck.New(c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := link.Close(); err != nil {
			t.Error(err)
		}
	}()
	listener, err := link.Server.Listen(t.Context(), 80)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	from := begin.Add(cellWarmUp)
	to := from.Add(c.length)
	ctx, cancel := context.WithDeadline(t.Context(), to)
	defer cancel()

	var tasks sync.WaitGroup
	hub := NewHub(nil)
	tasks.Go(func() { film(ctx, hub) })
	tasks.Go(func() {
		serve := (&Server{Hub: hub, Camera: new(fakeCamera)}).Serve
		if c.plain {
			serve = func(ctx context.Context, l ...net.Listener) error { return servePlain(ctx, hub, l[0]) }
		}
		if err := serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
	client, err := link.Client.Dial(ctx, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var got ages
	tasks.Go(func() {
		err := receive(client, listener.Addr().String(), func(captured time.Time) {
			if now := time.Now(); now.After(from) && now.Before(to) {
				got = append(got, now.Sub(captured))
			}
		})
		if ctx.Err() == nil {
			t.Error(err)
		}
	})
	select {
	case <-time.After(time.Until(from)):
	case <-ctx.Done():
	}
	link.Reset()
	if c.then != nil {
		link.Set(*c.then)
	}
	<-ctx.Done()
	late := link.Stats().Late
	client.Close()
	tasks.Wait()
	return got, late
}

// film publishes frames until ctx is done.
func film(ctx context.Context, hub *Hub) {
	jpeg := make([]byte, cellFrame)
	copy(jpeg, "\xff\xd8")
	copy(jpeg[len(jpeg)-2:], "\xff\xd9")
	tick := time.NewTicker(time.Second / cellRate)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case now := <-tick.C:
			hub.Publish(&camera.Frame{JPEG: jpeg, Seq: seq, Time: now})
		case <-ctx.Done():
			return
		}
	}
}

// servePlain runs one viewer that has the newest frame always, but no gate.
func servePlain(ctx context.Context, hub *Hub, l net.Listener) error {
	defer l.Close()
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	v := newViewer(conn, 10*time.Second, new(ageHistogram))
	v.link = new(link)
	if err := v.run(ctx, hub); ctx.Err() == nil {
		return err
	}
	return nil // the client may have left before the closing boundary
}

// receive asks for a stream, and calls frame when the last byte of one has come.
func receive(conn net.Conn, host string, frame func(captured time.Time)) error {
	if _, err := fmt.Fprintf(conn, "GET /stream HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
		return fmt.Errorf("request a stream: %w", err)
	}
	stream, err := pushertest.NewStreamReader(conn)
	if err != nil {
		return err
	}
	for {
		p, err := stream.Next()
		if err != nil {
			return err
		}
		frame(p.Capture)
	}
}

// TestSlowReaders measures how old the frames are that a program takes which works
// after each, over loopback.
func TestSlowReaders(t *testing.T) {
	t.Attr("fault", "network | programs that work for long after each frame | they find a new picture, not a queue of old ones | –")
	if os.Getenv("PUSHCAM_FRESHNESS") == "" {
		t.Skip("set PUSHCAM_FRESHNESS=1 to measure over loopback")
	}
	for _, tt := range []struct {
		works, length time.Duration
		minRate       float64       // frames per second
		maxAge        time.Duration // p50
	}{
		{60 * time.Millisecond, 8 * time.Second, 12, 60 * time.Millisecond},
		{2 * time.Second, 16 * time.Second, 0.35, 100 * time.Millisecond}, // longer than the viewer timeout
	} {
		t.Run(tt.works.String(), func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			from := time.Now().Add(cellWarmUp)
			to := from.Add(tt.length)
			ctx, cancel := context.WithDeadline(t.Context(), to)
			defer cancel()
			var tasks sync.WaitGroup
			hub := NewHub(nil)
			tasks.Go(func() { film(ctx, hub) })
			tasks.Go(func() {
				if err := (&Server{Hub: hub, Camera: new(fakeCamera)}).Serve(ctx, listener); err != nil {
					t.Error(err)
				}
			})
			client, err := net.Dial("tcp4", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			var got ages
			tasks.Go(func() {
				err := receive(client, listener.Addr().String(), func(captured time.Time) {
					if now := time.Now(); now.After(from) && now.Before(to) {
						got = append(got, now.Sub(captured))
					}
					time.Sleep(tt.works)
				})
				if ctx.Err() == nil {
					t.Error(err)
				}
			})
			<-ctx.Done()
			client.Close()
			tasks.Wait()
			rate := float64(len(got)) / tt.length.Seconds()
			t.Logf("%.1f fps, age p50 %v max %v", rate, got.quantile(0.5), got.quantile(1))
			if p50 := got.quantile(0.5); rate < tt.minRate || p50 > tt.maxAge {
				t.Errorf("%.2f frames per second, median age %v, want at least %v and at most %v", rate, p50, tt.minRate, tt.maxAge)
			}
		})
	}
}
