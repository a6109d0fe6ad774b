package pusher

import (
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Counts go on when a viewer has left, and every line is one that Prometheus
// reads.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) {
			s.Limits = fixed(Limits{MaxViewers: 2, MaxSessions: 1})
			s.Metrics = func(w io.Writer) { io.WriteString(w, "pushcam_more 1\n") }
		})
		gone, conn := r.stream("/stream")
		r.stream("/stream") // never reads on
		r.do("GET", "/stream")
		for seq := range uint64(3) {
			synctest.Wait()
			r.server.Hub.Publish(testFrame(seq + 1))
			r.next(gone)
		}
		conn.Close()
		time.Sleep(11 * time.Second)
		r.newID()
		r.do("GET", "/stream", load...)

		got := map[string]string{}
		for line := range strings.Lines(r.do("GET", "/metrics").Body) {
			line = strings.TrimSpace(line)
			i := strings.LastIndexByte(line, ' ')
			if _, err := strconv.ParseFloat(line[i+1:], 64); i < 1 || err != nil {
				t.Errorf("line %q", line)
				continue
			}
			got[line[:i]] = line[i+1:]
		}
		want := map[string]string{
			"pushcam_frames_delivered_total":               "3",
			"pushcam_frames_skipped_total":                 "0",
			"pushcam_viewers":                              "0",
			"pushcam_viewers_total":                        "2",
			"pushcam_viewers_evicted_total":                "1",
			"pushcam_sessions":                             "1",
			`pushcam_refused_total{limit="viewers"}`:       "1",
			`pushcam_refused_total{limit="sessions"}`:      "1",
			"pushcam_uptime_seconds":                       "11",
			`pushcam_frame_age_seconds_bucket{le="0.001"}`: "4",
			`pushcam_frame_age_seconds_bucket{le="+Inf"}`:  got["pushcam_frame_age_seconds_count"],
			"pushcam_more":                                 "1",
		}
		for name := range want {
			if _, ok := got[name]; !ok {
				t.Errorf("%s is missing", name)
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				delete(got, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

// A process that was started in 1970 was not, and does not start again whenever its
// clock is corrected.
func TestProcessStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{started: time.Now()}
		time.Sleep(time.Minute)
		for _, test := range []struct {
			clock string
			at    time.Duration // what the clock shows after a minute, since 1970
			want  string
		}{
			{"not set", 90 * time.Second, "30"},
			{"a little later", 94 * time.Second, "30"},
			{"not by much", 86 * time.Second, "30"},
			{"set", 50 * 365 * 24 * time.Hour, "1576799940"},
			{"set back before its start", 0, "0"},
		} {
			var b strings.Builder
			s.writeProcessMetrics(&b, time.Unix(0, 0).Add(test.at))
			var got []string
			for line := range strings.Lines(b.String()) {
				if value, ok := strings.CutPrefix(line, "process_start_time_seconds "); ok {
					got = append(got, strings.TrimSpace(value))
				}
			}
			if diff := cmp.Diff([]string{test.want}, got); diff != "" {
				t.Errorf("clock %s: -want +got:\n%s", test.clock, diff)
			}
			if !strings.Contains(b.String(), "go_goroutines ") {
				t.Errorf("other metrics are missing:\n%s", &b)
			}
		}
	})
}

func TestAgeHistogram(t *testing.T) {
	var h ageHistogram
	for _, age := range []time.Duration{-time.Second, 0, time.Millisecond, time.Millisecond + 1, 3 * time.Second, time.Hour} {
		h.add(age)
	}
	var b strings.Builder
	h.write(&b, "x")
	for _, want := range []string{`x_bucket{le="0.001"} 3`, `x_bucket{le="0.002"} 4`, `x_bucket{le="2"} 4`, `x_bucket{le="5"} 5`, `x_bucket{le="+Inf"} 6`, "x_count 6", "x_sum 3602"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
