package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// A stream of the camera's program goes on over renewed keys, and comes back with the
// access point. It is started by hand, as it takes ten minutes and more:
//
//	CGO_ENABLED=0 go build -o /tmp/pushcam ./cmd/pushcam
//	PUSHCAM_WIFI_STREAM=/tmp/pushcam go run ./hack/rig test -v -timeout 40m -run WiFiStream ./gokrazy/network
func TestRigWiFiStream(t *testing.T) {
	program := os.Getenv("PUSHCAM_WIFI_STREAM")
	if program == "" {
		t.Skip("it takes minutes: it runs with PUSHCAM_WIFI_STREAM=PROGRAM")
	}
	const keys, away = 60 * time.Second, 60 * time.Second
	home := bss{"home", "10.0.1", wpa2(password, fmt.Sprintf("wpa_group_rekey=%d", keys/time.Second))}
	root := needRadios(t)
	router := newAccessPoint(t, 1)
	router.on(home)
	c := newWirelessCamera(t, root, setup.Settings{Networks: []setup.Network{secured(t, "home", password)}})
	address := given(find(c.awaitNetwork("home", "10.0.1"), "wlan0")).Addr().String() + ":8080"
	c.start(exec.Command(program, "-source", "pattern", "-size", "320x240", "-fps", "10", "-listen", ":8080", "-state-dir", t.TempDir(), "-led-sys", "none"))
	await(t, "a picture", func() error { _, _, err := router.watch(address, time.Second); return err })

	frames, gap, err := router.watch(address, 10*keys)
	t.Logf("%d pictures in %v, the longest gap was %v", frames, 10*keys, gap)
	if err != nil || gap > time.Second {
		t.Errorf("gap %v, %v", gap, err)
	}
	if n := strings.Count(router.hostapd.says(), "group key handshake completed"); n < 9 {
		t.Errorf("the keys were renewed %d times only", n)
	}

	router.off()
	time.Sleep(away)
	c.await("in no network", func(s status.Status) bool { return s.WiFi.Network == nil })
	router.on(home)
	began := time.Now()
	await(t, "a picture", func() error { _, _, err := router.watch(address, time.Second); return err })
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the picture is back after %v", took)
	}
}

// watch looks at a stream for a while: it counts its pictures, and measures the longest
// time without one.
func (n *namespace) watch(address string, length time.Duration) (frames int, gap time.Duration, err error) {
	var c net.Conn
	n.do(func() { c, err = net.DialTimeout("tcp", address, time.Second) })
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /stream HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		return 0, 0, err
	}
	last := time.Now()
	lines := bufio.NewReader(c)
	for end := last.Add(length); frames == 0 || last.Before(end); {
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		line, err := lines.ReadString('\n')
		if err != nil {
			return frames, gap, err
		}
		if !strings.HasPrefix(strings.ToLower(line), "content-length:") {
			continue
		}
		now := time.Now()
		if frames > 0 {
			gap = max(gap, now.Sub(last))
		}
		frames++
		last = now
	}
	return frames, gap, nil
}
