//go:build linux

package e2e

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/hack/e2e/pictures"
)

var cardHang = flag.Duration("card-hang", 40*time.Second, "how long the card hangs while somebody watches")

// strict tells whether times are asked for that need a machine without other work.
func strict() bool { return *cardHang >= 10*time.Minute }

// maxResident is what all programs of the appliance may have in memory with ten
// viewers, in bytes; 52.9 MB were measured.
const maxResident = 60e6

// TestCard is the life of an appliance whose card is larger than its image, and then
// hangs, comes back, and is slow.
func TestCard(t *testing.T) {
	t.Attr("fault", "system | the card hangs while others watch, and is slow at the end | what runs needs nothing of the card; LED and page say that it does not answer | when it answers again")
	t.Parallel()
	p := built(t)
	cam, card := newWebcam(), p.card(t)
	const size = 3 << 30
	if err := os.Truncate(card, size); err != nil {
		t.Fatal(err)
	}
	m := boot(t, card, p.direct())
	cam.plug(t, m)
	t.Cleanup(func() { cam.unplug(t) })
	m.picture(t)

	t.Run("/perm is as large as its card", func(t *testing.T) {
		m.is(t, "a large /perm", func(s state) bool { return s.Card.Perm > size-p.Size+50<<20 })
	})
	t.Run("memory with ten viewers", func(t *testing.T) { testResident(t, m) })
	t.Run("the card hangs", func(t *testing.T) { testHungCard(t, m) })
	t.Run("a slow card is switched off", func(t *testing.T) {
		m.is(t, "a card that answers", func(s state) bool { return s.Card.Answers && !s.Settings.Unkept })
		m.throttle(t, 100_000, 100_000)
		m.toggle(t, true)
		m.hold(t)
		if reason := m.shutdown.Load(); m.exit != nil || reason != "guest-shutdown" {
			t.Errorf("the machine ended because of %v, and QEMU with %v", reason, m.exit)
		}
		checkClean(t, card)
		if said := debugPerm(t, card, "debugfs", "-R", "cat /pushcam/settings.json"); !strings.Contains(said, `"privacy": true`) {
			t.Errorf("the last change is not on the card: %s", said)
		}
	})
}

// TestCardHangsAtTheEnd switches off while the card hangs: the LED says that not
// everything is on the card, and then the power goes.
func TestCardHangsAtTheEnd(t *testing.T) {
	t.Attr("fault", "system | the card hangs when the appliance is switched off | the LED says that not everything is on the card, then the power goes | –")
	t.Parallel()
	p := built(t)
	m := boot(t, p.card(t), p.direct())
	m.is(t, "a program that knows the card", func(s state) bool { return s.Card.Answers && s.Card.Perm > 0 && s.Uptime > 5 })
	m.throttle(t, 1, 1)
	m.toggle(t, true)
	led := watchLED(m)
	began := time.Now()
	m.hold(t)
	took := time.Since(began)
	if reason := m.shutdown.Load(); m.exit != nil || reason != "guest-shutdown" {
		t.Errorf("the machine ended because of %v, and QEMU with %v", reason, m.exit)
	}
	long, lit := led.end()
	if long < 3 || lit {
		t.Errorf("in the end the LED had %d long flashes, and was lit: %v; want three, and then darkness", long, lit)
	}
	if limit := buttonHold + 15*time.Second; strict() && took > limit {
		t.Errorf("it took %v, want %v", took, limit)
	}
	t.Logf("off %v after the press", took.Round(100*time.Millisecond))
}

// throttle has QEMU read and write so many bytes of the card per second; with one it
// hangs but for its first answer, and with none it is as fast as it can be.
func (m *machine) throttle(t *testing.T, read, write int) {
	t.Helper()
	if err := m.control.do("block_set_io_throttle", map[string]any{
		"device": "card", "bps": 0, "bps_rd": read, "bps_wr": write, "iops": 0, "iops_rd": 0, "iops_wr": 0}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestCardGrowsInSpiteOfCuts cuts the power while /perm grows, again and again.
func TestCardGrowsInSpiteOfCuts(t *testing.T) {
	t.Attr("fault", "system | the power is cut while /perm grows | no card is lost | the next boot goes on")
	t.Parallel()
	p := built(t)
	card, cuts := p.card(t), 1
	if strict() {
		cuts = 8
	}
	const size = 32_000_000_000 / 512 * 512
	if err := os.Truncate(card, size); err != nil {
		t.Fatal(err)
	}
	for i := range cuts {
		m := boot(t, card, p.direct())
		m.throttle(t, 0, 300_000) // so that it takes a while
		m.await(t, "/perm grows", func() error {
			text, err := os.ReadFile(m.serial)
			if err == nil && !strings.Contains(string(text), "resizing filesystem") {
				err = errors.New("it does not")
			}
			return err
		})
		time.Sleep(time.Duration(i) * 150 * time.Millisecond)
		m.cut()
	}
	m := boot(t, card, p.direct())
	s := m.is(t, "a large /perm", func(s state) bool { return s.Card.Perm > size-2<<30 })
	t.Logf("after %d cuts /perm has %.1f GB of the card's %.1f", cuts, float64(s.Card.Perm)/1e9, size/1e9)
	if code, _, said, err := m.owned(http.MethodGet, "/api/log"); err != nil || code != http.StatusOK {
		t.Errorf("the owner is not known any more: status %d, %v: %s", code, err, said)
	}
	m.hold(t)
	checkClean(t, card)
}

// testHungCard has the card hang while somebody watches: what runs goes on, what must
// happen now happens, all is told, and all is as before when the card is back.
func testHungCard(t *testing.T, m *machine) {
	watching := watchGaps(t, m)
	began, before := time.Now(), m.now(t)
	m.throttle(t, 1, 1)
	// What nobody has asked for yet is answered all the same: none of it is read from
	// the card when it is asked for.
	for _, path := range []string{"/api/update", "/api/log", "/api/controls", "/", "/state", "/metrics", "/healthz", "/snapshot.jpg", "/sessions"} {
		code, _, said, err := m.owned(http.MethodGet, path)
		if err != nil || code >= 500 {
			t.Errorf("%s while the card hangs: status %d, %v: %s", path, code, err, said)
		}
	}
	m.is(t, "state and LED say that the card does not answer", func(s state) bool {
		return !s.Card.Answers && strings.Contains(s.Card.Trouble, "does not answer") && s.Panel.Pattern == "card"
	})
	m.metrics(t, "pushcam_card_answers 0")
	select {
	case <-time.After(*cardHang - time.Since(began)):
	case <-m.exited:
		t.Fatalf("the machine has ended: %v", m.exit)
	}
	longest, frames := watching.seen()
	t.Logf("in %v without a card the stream had %d pictures, and a gap of %v at most", time.Since(began).Round(time.Second), frames, longest.Round(time.Millisecond))
	limit := 15 * time.Second // of a busy machine; a program that hangs has a gap to the end
	if strict() {
		limit = time.Second
	}
	if longest > limit {
		t.Errorf("the stream has a gap of %v, want %v at most", longest, limit)
	}

	var took time.Duration
	for tries, closed := 0, false; !closed; tries++ { // a busy machine takes a short press for a long one
		if tries == 5 {
			t.Fatal("the button does not close the camera")
		}
		m.press(t)
		time.Sleep(250 * time.Millisecond) // as long as a finger
		m.release(t)
		took, closed = watching.closed(time.Now(), 20*time.Second)
	}
	t.Logf("the last picture came %v after the button was pressed and let go", took.Round(time.Millisecond))
	if strict() && took > 300*time.Millisecond {
		t.Errorf("privacy took %v, want 300 ms at most", took)
	}
	m.is(t, "the LED shows privacy", func(s state) bool {
		return s.Camera.Phase == camera.Privacy && s.Panel.Pattern == "privacy" && s.Settings.Unkept && !s.Card.Answers
	})

	m.throttle(t, 0, 0)
	s := m.is(t, "the card is back, and has what was changed", func(s state) bool { return s.Card.Answers && !s.Settings.Unkept })
	if s.Card.Count != before.Card.Count+1 || s.Uptime < before.Uptime+cardHang.Seconds() {
		t.Errorf("the card had trouble %d times, want one more; the program runs for %.0f s, want it not started again", s.Card.Count, s.Uptime)
	}
	if n := m.resets.Load(); n > 0 {
		t.Errorf("the machine began anew %d times", n)
	}
	logs := m.logs(t)
	logs.await(t, m, "the log tells of it", "the card does not answer", "the card answers again")
	logs.stop(t)
	m.toggle(t, false)
	m.picture(t)
}

// A gapWatch is a viewer who notes when pictures come.
type gapWatch struct {
	placeholders chan time.Time // when one came

	mu      sync.Mutex
	frames  int // of the webcam's
	last    time.Time
	longest time.Duration // without one of the webcam's
}

// watchGaps watches until the test is over.
func watchGaps(t *testing.T, m *machine) *gapWatch {
	t.Helper()
	v := m.stream(t)
	if err := v.conn.SetDeadline(time.Now().Add(*cardHang + patience)); err != nil {
		t.Fatal(err)
	}
	v.await(t, true)
	w := &gapWatch{placeholders: make(chan time.Time, 1), last: time.Now()}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			part, err := v.stream.Next()
			if err != nil {
				return // that it ended shows as a gap
			}
			if _, err := pictures.Number(part.JPEG); err != nil {
				select {
				case w.placeholders <- time.Now():
				default:
				}
				continue
			}
			w.mu.Lock()
			w.frames++
			w.longest, w.last = max(w.longest, time.Since(w.last)), time.Now()
			w.mu.Unlock()
		}
	})
	t.Cleanup(func() { v.conn.Close(); reading.Wait() })
	return w
}

// seen is the longest time without a picture until now, and how many came.
func (w *gapWatch) seen() (longest time.Duration, frames int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.longest, time.Since(w.last)), w.frames
}

// closed awaits the picture that says that the camera is closed, and returns how long
// after since the last one of the camera came.
func (w *gapWatch) closed(since time.Time, patience time.Duration) (took time.Duration, ok bool) {
	timeout := time.After(patience)
	for {
		select {
		case at := <-w.placeholders:
			if at.After(since) {
				w.mu.Lock()
				defer w.mu.Unlock()
				return max(0, w.last.Sub(since)), true
			}
		case <-timeout:
			return 0, false
		}
	}
}

// testResident has ten viewers, and sees what all programs have in memory.
func testResident(t *testing.T, m *machine) {
	for range 10 {
		m.stream(t).await(t, true)
	}
	most := int64(0)
	for range 10 {
		s := m.is(t, "ten viewers", func(s state) bool { return len(s.Viewers) == 10 })
		most = max(most, s.Board.Resident)
	}
	t.Logf("%.1f MB are in memory with ten viewers", float64(most)/1e6)
	if most == 0 || most > maxResident {
		t.Errorf("all programs have %.1f MB in memory, want %.1f at most", float64(most)/1e6, maxResident/1e6)
	}
}

// checkClean looks at the card of a machine that is off: /perm is as after an orderly
// end, and has no fault.
func checkClean(t *testing.T, card string) {
	t.Helper()
	perm(t, card, func(_ *os.File, _ int64, super []byte) {
		const needsRecovery = 0x4
		if binary.LittleEndian.Uint32(super[0x60:])&needsRecovery != 0 {
			t.Error("/perm was not written whole before the power went")
		}
	})
	debugPerm(t, card, "e2fsck", "-fn")
}

// debugPerm has one of e2fsprogs look at the card's /perm.
func debugPerm(t *testing.T, card string, tool string, args ...string) (said string) {
	t.Helper()
	need(t, tool)
	perm(t, card, func(_ *os.File, offset int64, _ []byte) {
		out, err := exec.Command(tool, append(args, fmt.Sprintf("%s?offset=%d", card, offset-1024))...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", tool, err, out)
		}
		said = string(out)
	})
	return said
}

// An ledWatch notes how the LED shines.
type ledWatch struct {
	stop     chan struct{}
	watching sync.WaitGroup
	long     int  // flashes of 0.7 to 3 s, one after the other
	lit      bool // when it was last seen
}

// watchLED watches until end, or until the machine is off.
func watchLED(m *machine) *ledWatch {
	w := &ledWatch{stop: make(chan struct{})}
	w.watching.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for since := time.Now(); ; {
			lit, err := m.led()
			if err != nil {
				return // the machine is off
			}
			if lit != w.lit {
				switch took := time.Since(since); {
				case lit:
				case took > 700*time.Millisecond && took < 3*time.Second:
					w.long++
				default:
					w.long = 0
				}
				w.lit, since = lit, time.Now()
			}
			select {
			case <-tick.C:
			case <-m.exited:
				return
			case <-w.stop:
				return
			}
		}
	})
	return w
}

// end says how many long flashes came last, and whether the LED was lit after them.
func (w *ledWatch) end() (long int, lit bool) {
	close(w.stop)
	w.watching.Wait()
	return w.long, w.lit
}
