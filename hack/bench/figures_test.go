//go:build linux

package main

import (
	"bytes"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantileAndMedian(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		values                 []float64
		median, p50, p99, most float64
	}{
		{"one", []float64{3}, 3, 3, 3, 3},
		{"two", []float64{4, 2}, 3, 2, 4, 4},
		{"ten", []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 5.5, 5, 10, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := []float64{median(tt.values), quantile(tt.values, 0.5), quantile(tt.values, 0.99), quantile(tt.values, 1)}
			if diff := cmp.Diff([]float64{tt.median, tt.p50, tt.p99, tt.most}, got); diff != "" {
				t.Errorf("median, p50, p99, max (-want +got):\n%s", diff)
			}
		})
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
}

func TestSpread(t *testing.T) {
	for want, values := range map[string][]float64{"–": nil, "1.0": {1}, "2.0 (1.0–9.0)": {9, 1, 2}} {
		if got := spread(values, "%.1f"); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
}

func TestBetween(t *testing.T) {
	all := frames{{Captured: 0, Last: 1e6}, {Captured: 0, Last: 2e6}, {Captured: 0, Last: 3e6}}
	if diff := cmp.Diff([]float64{1, 2}, all.between(1e6, 3e6).ages()); diff != "" {
		t.Errorf("ages (-want +got):\n%s", diff)
	}
}

// The ideals are those of facts that were measured before this program.
func TestIdeal(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		rtt  int
		fps  float64
		age  float64
	}{
		{4, 1, 4.8, 210}, {2, 20, 2.4, 428}, {50, 50, 30, 42}, {12, 100, 14.3, 120}, {0, 200, 30, 100}, {12, 20, 14.3, 80},
	} {
		fps, age := ideal(tt.rate, tt.rtt, frameSize)
		if math.Abs(fps-tt.fps) > 0.05 || math.Abs(age-tt.age) > 1 {
			t.Errorf("%v Mbit/s, RTT %d: %.1f fps, %.0f ms; want %v, %v", tt.rate, tt.rtt, fps, age, tt.fps, tt.age)
		}
	}
}

func TestConditions(t *testing.T) {
	all := conditions()
	names := make(map[string]bool)
	spare := 0
	for _, c := range all {
		names[c.String()] = true
		if c.spare() {
			spare++
		}
	}
	if len(all) != 53 || len(names) != 53 {
		t.Errorf("%d conditions with %d names, want 53", len(all), len(names))
	}
	if spare != 9 { // 50 Mbit/s and no limit at three round trips, and other sizes of frames
		t.Errorf("%d conditions have bandwidth to spare, want 9", spare)
	}
	if got := len(quickConditions()); got < 10 || got > 20 {
		t.Errorf("%d quick conditions", got)
	}
}

func TestProc(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"stat":                 "cpu  100 1 20 700 30 4 5 6 50 7\ncpu0 1 2 3\n",
		"cpuinfo":              "processor\t: 0\nmodel name\t: A Processor\n",
		"sys/kernel/osrelease": "6.18.1\n",
		"42/status":            "Name:\tpushcam\nVmHWM:\t   20000 kB\nVmRSS:\t   12345 kB\n",
		"43/status":            "Name:\tzombie\nState:\tZ (zombie)\n",
		"42/net/tcp": "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n" +
			"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n" +
			"   1: 0100007F:1F90 0100007F:B160 01 000186A0:00000010 01:00000014 00000000     0        0 2\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := proc{root: root}
	if rss, err := p.rss(42); rss != 12345<<10 || err != nil {
		t.Errorf("rss %d, %v", rss, err)
	}
	if _, err := p.rss(43); err == nil {
		t.Error("a process that has ended has memory")
	}
	if idle, all, err := p.idle(); idle != 730 || all != 866 || err != nil {
		t.Errorf("idle %d of %d, %v", idle, all, err)
	}
	queues, err := p.queues(42)
	want := []tcpQueue{{local: 8080}, {local: 8080, remote: 45408, sending: 100_000, receiving: 16}}
	if diff := cmp.Diff(want, queues, cmp.AllowUnexported(tcpQueue{})); diff != "" || err != nil {
		t.Errorf("queues: %v (-want +got):\n%s", err, diff)
	}
	if m := p.machine(); m != (machine{"A Processor", "6.18.1"}) {
		t.Errorf("machine %+v", m)
	}
}

func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := range 10_000_000 {
		sum += i
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before || after-before > time.Minute {
		t.Errorf("from %v to %v for counting to %d, %v", before, after, sum, err)
	}
	if _, err := cpuTime(1<<22 + 1); err == nil { // PID_MAX_LIMIT is 1<<22
		t.Error("a process that is not there has used time")
	}
}

func TestNewPicture(t *testing.T) {
	for _, size := range []int{frameSize / 5, frameSize, 3 * frameSize} {
		picture, err := newPicture(size)
		if err != nil {
			t.Fatal(err)
		}
		if len(picture) != size {
			t.Errorf("%d bytes, want %d", len(picture), size)
		}
		for _, b := range [][]byte{picture, withoutStamp(picture)} {
			if c, err := jpeg.DecodeConfig(bytes.NewReader(b)); err != nil || c.Width != pictureWidth || c.Height != pictureHeight {
				t.Errorf("decoded: %+v, %v", c, err)
			}
		}
		putStamp(picture, time.Unix(0, 12345), 1)
		if at, err := captured(picture, ""); at != 12345 || err != nil {
			t.Errorf("captured at %d, %v", at, err)
		}
	}
	if _, err := newPicture(1000); err == nil {
		t.Error("a picture of 1,000 bytes was drawn")
	}
}

// What others do is what the machine did without the group and the processes.
func TestMeter(t *testing.T) {
	p, g := proc{root: t.TempDir()}, &cgroup{count: t.TempDir()}
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(filepath.Join(p.root, "stat"), "cpu  100 0 0 100 0 0 0 0 0 0\n")
	put(filepath.Join(g.count, "cpuacct.usage"), "5000\n")
	meter := p.meter(g)
	put(filepath.Join(p.root, "stat"), "cpu  130 0 0 170 0 0 0 0 0 0\n")
	cores, others, err := meter()
	if want := 0.3 * float64(runtime.NumCPU()); err != nil || cores != 0 || math.Abs(others-want) > 1e-9 {
		t.Errorf("%v cores, others %v, %v; want 0, %v", cores, others, err, want)
	}
	put(filepath.Join(g.count, "cpuacct.usage"), "9000000005000\n") // more than all others
	if cores, others, err := meter(); err != nil || cores <= 0 || others != 0 {
		t.Errorf("%v cores, others %v, %v", cores, others, err)
	}
	if _, _, err := (proc{root: t.TempDir()}).meter(g)(); err == nil {
		t.Error("a machine without a clock was measured")
	}
}
