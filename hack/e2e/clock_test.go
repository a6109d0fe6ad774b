//go:build linux

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/pushcam/pushcam/camera"
)

// TestClock boots in 1970, as a Pi without a clock does. For a minute and a half there is
// no Internet. Then the time comes from the network while somebody watches. At last the
// router itself names a time server.
func TestClock(t *testing.T) {
	t.Attr("fault", "system | a boot in 1970 whose clock is set while somebody watches | who watches goes on watching, and times that were taken before are as long ago as they were | –")
	t.Parallel()
	p := built(t)
	cam := newWebcam()
	m := boot(t, p.card(t), append(p.direct(), "-rtc", "base=1970-01-01T00:00:10"))
	questions := m.station.countQuestions()
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)
	if now := m.clock(t); now.Year() != 1970 {
		t.Fatalf("the machine's clock says %v, want 1970", now)
	}
	opened := time.Now()
	m.keepWatching(t)
	before := m.rightTimes(t)

	const most = 40 // of two kinds of addresses, from each name server, twice; gokrazy's program asks 300 times
	s := m.is(t, "a minute and a half without the Internet", func(s state) bool { return s.Uptime > 90 })
	if n := questions.Load(); n < 2 || n > most {
		t.Errorf("name servers were asked %d times, want 2 to %d", n, most)
	}
	if c := s.Network.Clock; c.Set || c.Error == "" {
		t.Errorf("without the Internet the clock's state is %+v, want a reason why it is not set", c)
	}
	m.metrics(t, "pushcam_clock_set 0")

	began := time.Now()
	m.station.serveTime()
	m.await(t, "the clock is set", func() error {
		if now := m.clock(t); now.Before(began.Add(-time.Minute)) {
			return fmt.Errorf("it says %v", now)
		}
		return nil
	})
	set := m.now(t)
	m.is(t, "pictures since the clock was set", func(s state) bool { return s.Camera.Frames >= set.Camera.Frames+5*fps })
	m.is(t, "the state of a clock that is set", func(s state) bool { return s.Network.Clock.Set && s.Network.Clock.Error == "" })
	s = m.rightTimes(t)
	if (s.Camera.Stalls != before.Camera.Stalls || s.Camera.Restarts != before.Camera.Restarts) && !cam.paused(opened) {
		t.Errorf("the camera had trouble: %+v", s.Camera)
	}
	if got, want := s.Viewers[0].Seconds, s.Uptime-before.Uptime; got < want {
		t.Errorf("the viewer is there for %v s, want the same one for more than %v s", got, want)
	}
	m.metrics(t, "pushcam_clock_set 1")
	m.picture(t)
	_, _, log, err := m.owned(http.MethodGet, "/api/log")
	if err != nil || bytes.Contains(log, []byte("time=1970-")) || !bytes.Contains(log, began.UTC().AppendFormat(nil, "time=2006-01-02")) {
		t.Errorf("the log, %v, has lines of 1970:\n%s", err, log)
	}
	m.toRouterThatTellsMore(t, p.Hostname)
}

// clock is what the machine's clock says.
func (m *machine) clock(t *testing.T) time.Time {
	t.Helper()
	_, header, _, err := m.get("/state", getTimeout)
	if err != nil {
		t.Fatal(err)
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// rightTimes waits for a live picture and checks everything in /state and /metrics that
// is a time, or a time since something.
func (m *machine) rightTimes(t *testing.T) state {
	t.Helper()
	const old = 3600 // seconds; a busy machine is late, but not by decades
	s := m.is(t, "a viewer who gets pictures", func(s state) bool {
		return s.Camera.Phase == camera.Live && s.Frame != nil && len(s.Viewers) == 1 && s.Viewers[0].Sent > 0
	})
	ok := func(seconds float64) bool { return seconds >= 0 && seconds < old }
	if !ok(s.Frame.AgeMS/1000) || !ok(s.Viewers[0].AgeMS/1000) || !ok(s.Viewers[0].Seconds) || !ok(s.Uptime) {
		t.Errorf("ages are wrong: frame %+v, viewer %+v, uptime %v s", *s.Frame, s.Viewers[0], s.Uptime)
	}
	now := m.clock(t)
	for name, at := range map[string]time.Time{"the camera's state": s.Camera.Since, "the process": m.processStart(t)} {
		// The clock's header has no parts of a second.
		if age := now.Sub(at).Seconds(); !ok(age+2) || age > s.Uptime+60 {
			t.Errorf("%s is of %v, and it is %v, %v s after the start", name, at, now, s.Uptime)
		}
	}
	return s
}

// processStart is the start of the program as /metrics tells it.
func (m *machine) processStart(t *testing.T) time.Time {
	t.Helper()
	_, _, text, err := m.get("/metrics", getTimeout)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "process_start_time_seconds "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return time.Unix(seconds, 0)
		}
	}
	t.Fatalf("/metrics lacks process_start_time_seconds:\n%s", text)
	return time.Time{}
}

// countQuestions counts the questions that the machine sends to name servers.
func (s *station) countQuestions() *atomic.Int64 {
	n := new(atomic.Int64)
	count := func(frame []byte) []byte {
		if d, ok := parseUDP(frame); ok && d.toPort == 53 {
			n.Add(1)
		}
		return nil
	}
	s.answer.Store(&count)
	return n
}

// serveTime makes the station the machine's internet: it answers each question for a
// server's address with its own, and answers as a time server.
func (s *station) serveTime() {
	answer := func(frame []byte) []byte {
		switch d, ok := parseUDP(frame); {
		case isARP(frame):
			return answerARP(frame)
		case ok && d.toPort == 53:
			return back(d, answerDNS(d.data))
		case ok && d.toPort == 123 && slices.Equal(d.toIP, stationIP):
			return back(d, answerNTP(d.data))
		}
		return nil
	}
	s.answer.Store(&answer)
}

// parseUDP takes IPv4 without options.
func parseUDP(frame []byte) (d datagram, ok bool) {
	const udp = 17
	if len(frame) < etherLen+ipLen+udpLen || binary.BigEndian.Uint16(frame[12:]) != 0x0800 || frame[etherLen] != 0x45 || frame[etherLen+9] != udp {
		return d, false
	}
	frame = slices.Clone(frame)
	ip, data := frame[etherLen:], frame[etherLen+ipLen:]
	return datagram{
		toMAC: frame[:6], fromMAC: frame[6:12], toIP: ip[16:20], fromIP: ip[12:16],
		fromPort: binary.BigEndian.Uint16(data), toPort: binary.BigEndian.Uint16(data[2:]), data: data[udpLen:],
	}, true
}

// back is the frame that answers d with data; nil if data is.
func back(d datagram, data []byte) []byte {
	if data == nil {
		return nil
	}
	return udpFrame(datagram{d.fromMAC, d.toMAC, d.fromIP, d.toIP, d.fromPort, d.toPort, data})
}

// isARP tells a question for the station's address (RFC 826).
func isARP(frame []byte) bool {
	const request, targetIP = 1, etherLen + 24
	return len(frame) >= targetIP+4 && binary.BigEndian.Uint16(frame[12:]) == 0x0806 &&
		binary.BigEndian.Uint16(frame[etherLen+6:]) == request && slices.Equal(frame[targetIP:targetIP+4], stationIP)
}

func answerARP(frame []byte) []byte {
	arp := frame[etherLen:]
	head := []byte{0, 1, 8, 0, 6, 4, 0, 2} // Ethernet, IPv4, a reply
	return slices.Concat(arp[8:14], stationMAC, []byte{0x08, 0x06}, head, stationMAC, stationIP, arp[8:14], arp[14:18])
}

// answerDNS answers with the station's address for every name.
func answerDNS(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || m.Response || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte(stationIP)},
		}}
	}
	answer, err := m.Pack()
	if err != nil {
		return nil
	}
	return answer
}

// answerNTP tells this computer's time (RFC 5905, 7.3).
func answerNTP(question []byte) []byte {
	const version4, server = 4 << 3, 4
	if len(question) < 48 {
		return nil
	}
	answer := make([]byte, 48)
	answer[0], answer[1] = version4|server, 1 // stratum
	copy(answer[24:], question[40:48])        // when it was asked, by the asker's clock
	now := time.Now()
	const since1900 = 2_208_988_800 // seconds to 1970
	stamp := uint64(now.Unix()+since1900)<<32 | uint64(now.Nanosecond())<<32/1e9
	binary.BigEndian.PutUint64(answer[16:], stamp) // when the server's own clock was set
	binary.BigEndian.PutUint64(answer[32:], stamp) // when the question came
	binary.BigEndian.PutUint64(answer[40:], stamp) // when the answer went
	return answer
}

// What the station answers is right, so that TestClock tests the machine.
func TestServeTime(t *testing.T) {
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName("0.pool.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	text, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	asked := datagram{stationMAC, mdnsMAC, []byte{10, 0, 2, 3}, []byte{10, 0, 2, 15}, 53, 4000, text}
	d, ok := parseUDP(udpFrame(asked))
	if !ok {
		t.Fatal("it does not understand itself")
	}
	d, ok = parseUDP(back(d, answerDNS(d.data)))
	var a dnsmessage.Message
	if err := errors.Join(a.Unpack(d.data)); !ok || err != nil || len(a.Answers) != 1 || d.toPort != 4000 || !slices.Equal(d.fromIP, asked.toIP) {
		t.Errorf("the answer is %+v, %v: %+v", d, err, a)
	}
}
