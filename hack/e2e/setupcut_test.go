//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var setupCuts = flag.Int("setup-cuts", 0, "cut the power this `number` of times while pushcam.txt is taken over, each time some writes of the card later")

// TestSetupCuts cuts the power while what an owner has written on the card is taken
// over. The next boot has all of it, and overwrites the passwords.
func TestSetupCuts(t *testing.T) {
	t.Attr("fault", "system | the power is cut while the owner's file is taken over | nothing of it is lost, and no password is left | the next boot has all of it")
	if *setupCuts == 0 {
		t.Skip("takes a minute for each cut: run it with \"go test -timeout 1h -run TestSetupCuts ./hack/e2e -setup-cuts 20\"")
	}
	const between = 2 // writes from one cut to the next
	p := built(t)
	// Writes come slowly, so that QEMU can be asked after each.
	slowly := append(p.direct(), "-set", "drive.card.throttling.iops-write=10")
	for n := range *setupCuts {
		card := p.card(t)
		writeBootFile(t, bootOf(card), "pushcam.txt", "hostname=porch\r\npassword=tulip and rose\r\nwifi-ssid=home\r\nwifi-password=hyacinth 7\r\n")
		m := boot(t, card, slowly)
		written := m.cutAtWrite(t, 1+n*between)
		text := readBootFile(t, bootOf(card), "pushcam.txt")
		t.Logf("the power is cut after %d writes; in the file: owner's password %v, Wi-Fi's %v", written, strings.Contains(text, "tulip"), strings.Contains(text, "hyacinth"))

		m = boot(t, card, p.direct())
		if s := m.is(t, "a program that runs", func(s state) bool { return s.Uptime > 0 }); s.Hostname != "porch" || len(s.Setup.Problems) > 0 {
			t.Errorf("after %d writes: the name %q, %+v", written, s.Hostname, s.Setup)
		}
		code, _, _, err := m.do(http.MethodGet, "/api/log", getTimeout, func(r *http.Request) { r.SetBasicAuth("owner", "tulip and rose") })
		if err != nil || code != http.StatusOK {
			t.Errorf("after %d writes: with the owner's password: status %d, %v", written, code, err)
		}
		if text := readBootFile(t, bootOf(card), "pushcam.txt"); strings.Contains(text, "tulip") || strings.Contains(text, "hyacinth") || strings.Count(text, "*") < 20 {
			t.Errorf("after %d writes: pushcam.txt is %q", written, text)
		}
		m.cut()
		perm(t, card, func(_ *os.File, offset int64, _ []byte) { // what is only in the journal so far
			exec.CommandContext(t.Context(), "e2fsck", "-E", "journal_only", "-fy", fmt.Sprintf("%s?offset=%d", card, offset-1024)).Run()
		})
		if said := debugPerm(t, card, "debugfs", "-R", "cat /pushcam/setup.json"); !strings.Contains(said, `"psk_hex"`) {
			t.Errorf("after %d writes: the Wi-Fi's key is not on /perm: %s", written, said)
		}
	}
}

// cutAtWrite cuts the power when the card has been written to n times, or when the
// machine answers, and returns how often it was.
func (m *machine) cutAtWrite(t *testing.T, n int) (written int) {
	t.Helper()
	defer m.cut()
	for began := time.Now(); time.Since(began) < patience; {
		var all []struct {
			Device string `json:"device"`
			Stats  struct {
				Writes int `json:"wr_operations"`
			} `json:"stats"`
		}
		if err := m.control.do("query-blockstats", nil, &all); err != nil {
			t.Fatal(err)
		}
		for _, disk := range all {
			if disk.Device == "card" {
				written = disk.Stats.Writes
			}
		}
		if written >= n {
			return written
		}
		if written > 0 {
			continue // the next write may come at any time
		}
		if _, err := m.state(); err == nil {
			return written
		}
	}
	t.Fatalf("the card was not written to %d times but %d", n, written)
	return written
}
