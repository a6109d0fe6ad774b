package pusher

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// ageBounds are the upper bounds of the age histogram's buckets. The first is for frames
// that leave at once, the last for links that need seconds for a frame.
var ageBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second,
}

// ageHistogram counts frames by their age, in a Prometheus histogram with fixed
// bounds (le). The metrics library only has histograms with bounds of its own.
type ageHistogram struct {
	buckets [len(ageBounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *ageHistogram) add(age time.Duration) {
	i := 0
	for i < len(ageBounds) && age > ageBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(age))
}

func (h *ageHistogram) write(w io.Writer, name string) {
	metrics.WriteMetadataIfNeeded(w, name, "histogram")
	var count uint64
	for i, bound := range ageBounds {
		count += h.buckets[i].Load()
		fmt.Fprintf(w, "%s_bucket{le=\"%g\"} %d\n", name, bound.Seconds(), count)
	}
	count += h.buckets[len(ageBounds)].Load()
	fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n", name, count, name, time.Duration(h.sum.Load()).Seconds(), name, count)
}

// totals are sums over all viewers, the present ones and those that left.
type totals struct {
	frames, skipped, bytes uint64
	viewers                uint64
	evicted                uint64
	refusedViewers         uint64
	refusedSessions        uint64
}

// count adds what v has done so far. s.mu is held.
func (t *totals) count(v *viewer) {
	t.frames += v.sent.Load()
	t.skipped += v.skipped.Load()
	t.bytes += v.bytes.Load()
}

// evicted tells whether a viewer was dropped: by this program because it took nothing or
// gave way to others, or by the kernel because its system did not answer any more.
func evicted(err error) bool {
	return errors.Is(err, errStalled) || errors.Is(err, errYielded) || errors.Is(err, syscall.ETIMEDOUT)
}

// metrics answers with everything that can be counted, in Prometheus' text
// format.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	t := s.totals
	for v := range s.viewers {
		t.count(v)
	}
	places := s.places.total
	s.mu.Unlock()

	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	metrics.WriteCounterUint64(w, "pushcam_frames_delivered_total", t.frames)
	metrics.WriteCounterUint64(w, "pushcam_frames_skipped_total", t.skipped)
	metrics.WriteCounterUint64(w, "pushcam_delivered_bytes_total", t.bytes)
	s.ages.write(w, "pushcam_frame_age_seconds")
	metrics.WriteGaugeUint64(w, "pushcam_viewers", uint64(places))
	metrics.WriteCounterUint64(w, "pushcam_viewers_total", t.viewers)
	metrics.WriteCounterUint64(w, "pushcam_viewers_evicted_total", t.evicted)
	metrics.WriteGaugeUint64(w, "pushcam_sessions", uint64(s.sessions.count()))
	metrics.WriteCounterUint64(w, `pushcam_refused_total{limit="viewers"}`, t.refusedViewers)
	metrics.WriteCounterUint64(w, `pushcam_refused_total{limit="sessions"}`, t.refusedSessions)
	s.connections.mu.Lock()
	refused := s.connections.refused
	s.connections.mu.Unlock()
	metrics.WriteCounterUint64(w, `pushcam_refused_total{limit="connections"}`, refused)
	metrics.WriteGaugeFloat64(w, "pushcam_uptime_seconds", time.Since(s.started).Seconds())
	if s.Metrics != nil {
		s.Metrics(w)
	}
	s.writeProcessMetrics(w, time.Now())
}

// writeProcessMetrics writes the library's metrics of the process, but its start by the
// clock as it is now: the clock of a Pi starts in 1970, and is set when the network
// tells the time. Small corrections of the clock do not change it, because whoever
// watches takes another start for a restart.
func (s *Server) writeProcessMetrics(w io.Writer, now time.Time) {
	const name = "process_start_time_seconds"
	var all bytes.Buffer
	metrics.WriteProcessMetrics(&all)
	for line := range bytes.Lines(all.Bytes()) {
		if !bytes.HasPrefix(line, []byte(name+" ")) {
			w.Write(line)
		}
	}
	start := now.Add(-time.Since(s.started)).Unix()
	s.mu.Lock()
	if d := start - s.startSeconds; d < -startTolerance || d > startTolerance {
		s.startSeconds = start
	}
	start = s.startSeconds
	s.mu.Unlock()
	metrics.WriteGaugeUint64(w, name, uint64(max(start, 0)))
}

const startTolerance = 5 // seconds
