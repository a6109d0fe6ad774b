package pusher

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/hack/bottleneck"
)

// TestRecordTraces records testdata/gate anew, which a gate that decides otherwise
// needs. It takes root and 15 s on a quiet machine.
func TestRecordTraces(t *testing.T) {
	if os.Getenv("PUSHCAM_RECORD_TRACES") == "" {
		t.Skip("set PUSHCAM_RECORD_TRACES=1 to record testdata/gate anew, as root")
	}
	path := func(mbit float64, rtt time.Duration) bottleneck.Path {
		return bottleneck.Path{Rate: mbit * 1e6, RTT: rtt, Buffer: bottleneck.BufferFor(mbit*1e6, 200*time.Millisecond)}
	}
	tests := []struct {
		name   string
		before bottleneck.Path
		after  bottleneck.Path
		length time.Duration // after the change
	}{
		{"rate-20-to-4", path(20, 20*time.Millisecond), path(4, 20*time.Millisecond), 5 * time.Second},
		{"rtt-20-to-200", path(12, 20*time.Millisecond), path(12, 200*time.Millisecond), 9 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range cellRuns {
				lines, late := recordTrace(t, tt.before, tt.after, tt.length)
				if late > cellLate {
					t.Logf("the emulator was %v late: once more", late)
					continue
				}
				f, err := os.Create(filepath.Join("testdata", "gate", tt.name+".csv"))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				w := csv.NewWriter(f)
				w.Write([]string{"time µs", "mss", "unacked", "sacked", "delivered", "unsent", "min rtt µs", "frame written"})
				w.WriteAll(lines)
				if err := w.Error(); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Fatalf("the emulator was late in each of %d runs", cellRuns)
		})
	}
}

// recordTrace writes down every look of a viewer on a link that changes after
// cellWarmUp, and how late the emulator was at worst.
func recordTrace(t *testing.T, before, after bottleneck.Path, length time.Duration) (lines [][]string, late time.Duration) {
	bottleneck.RealTime()
	link, err := bottleneck.New(before)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	ctx, cancel := context.WithTimeout(t.Context(), cellWarmUp+length)
	defer cancel()
	listener, err := link.Server.Listen(ctx, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := link.Client.Dial(ctx, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	v := newViewer(server, 10*time.Second, new(ageHistogram))
	look, written := v.link.socket.readFD, uint64(0)
	v.link.socket.readFD = func(fd uintptr) {
		look(fd)
		if n := v.bytes.Load(); n != written && len(lines) > 0 {
			written = n
			lines[len(lines)-1][7] = "1"
		}
		var line []string
		i := v.link.socket.info
		for _, n := range []any{time.Since(v.since).Microseconds(), i.MSS, i.Unacked, i.Sacked, i.Delivered, i.Unsent, i.MinRTT.Microseconds(), 0} {
			line = append(line, fmt.Sprint(n))
		}
		lines = append(lines, line)
	}
	hub := NewHub(nil)
	var tasks sync.WaitGroup
	tasks.Go(func() { film(ctx, hub) })
	tasks.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := client.Read(buf); err != nil {
				return
			}
		}
	})
	changed := time.AfterFunc(cellWarmUp, func() { link.Reset(); link.Set(after) })
	defer changed.Stop()
	_ = v.run(ctx, hub) // ends as it was asked to
	late = link.Stats().Late
	client.Close()
	tasks.Wait()
	return lines, late
}
