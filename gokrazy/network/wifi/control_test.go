package wifi

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSupplicant answers each command as told, on a socket of its own.
func fakeSupplicant(t *testing.T, answers map[string][]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wlan0")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for buf := make([]byte, 4096); ; {
			n, from, err := c.ReadFromUnix(buf)
			if err != nil {
				return
			}
			for _, a := range answers[string(buf[:n])] {
				c.WriteToUnix([]byte(a), from)
			}
		}
	})
	t.Cleanup(func() { c.Close(); running.Wait() })
	return path
}

func TestControl(t *testing.T) {
	path := fakeSupplicant(t, map[string][]string{
		"ATTACH":               {"OK\n", "<3>CTRL-EVENT-BSS-ADDED 0 02:00:00:00:00:01", "<3>CTRL-EVENT-SCAN-RESULTS ", "\xff\x00", "<3>AP-ENABLED "},
		"STATUS":               {"<3>CTRL-EVENT-SCAN-STARTED ", "wpa_state=COMPLETED\nssid=a=b\n"},
		"SET_NETWORK 0 psk 12": {"FAIL\n"},
		"SCAN":                 {"FAIL-BUSY\n"},
		"NONSENSE":             {"UNKNOWN COMMAND\n"},
		"REASSOCIATE":          {"OK\n"},
	})
	c, err := dial(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, want := range []eventKind{scanResults, apEnabled} {
		if e := <-c.events; e.kind != want {
			t.Errorf("event %v, want %v", e, want)
		}
	}
	reply, err := c.ask("STATUS")
	if f := fields(reply); err != nil || f["wpa_state"] != "COMPLETED" || f["ssid"] != "a=b" {
		t.Errorf("%q, %v", reply, err)
	}
	if err := c.tell("REASSOCIATE"); err != nil {
		t.Error(err)
	}
	for _, command := range []string{"SET_NETWORK 0 psk 12", "SCAN", "NONSENSE"} {
		err := c.tell("%s", command)
		if !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", command, err)
		} else if strings.Contains(err.Error(), "12") {
			t.Errorf("an error tells a secret: %v", err)
		}
	}
}

func TestControlGone(t *testing.T) {
	if _, err := dial(filepath.Join(t.TempDir(), "wlan0")); err == nil {
		t.Error("there is nobody, and no error")
	}
}
