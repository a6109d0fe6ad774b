package device

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// All of this program's file is in memory afterwards and stays there, and nothing
// else of the program is locked.
func TestLockText(t *testing.T) {
	size, err := LockText()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOMEM) {
		if os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("only root may lock so much: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munlockall(); err != nil {
			t.Error(err)
		}
	})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer smaps.Close()
	locked, ours, at := int64(0), false, ""
	kilobytes := map[string]string{}
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimSpace(value); {
		case strings.Contains(key, "-"): // 00400000-00b5a000 r-xp …
			ours, at = strings.HasSuffix(lines.Text(), exe), lines.Text()
		case key == "VmFlags":
			isLocked := strings.Contains(value+" ", "lo ")
			if isLocked != ours {
				t.Errorf("locked %v, want %v: %s", isLocked, ours, at)
			}
			if ours && kilobytes["Rss"] != kilobytes["Size"] {
				t.Errorf("%s of %s are in memory: %s", kilobytes["Rss"], kilobytes["Size"], at)
			}
			if ours {
				locked++
			}
		default:
			kilobytes[key] = value
		}
	}
	if locked < 3 || size < 1<<20 {
		t.Errorf("%d mappings with %d bytes are locked, want code, constants and data", locked, size)
	}
}

func TestMappings(t *testing.T) {
	const text = `00400000-00b5a000 r-xp 00000000 b3:02 52                                 /user/pushcam
00b5a000-013f2000 r--p 0075a000 b3:02 52                                 /user/pushcam
01480000-014b3000 rw-p 00000000 00:00 0                                  [heap]
7f0000000000-7f0000001000 r--p 00000000 b3:02 53                         /user/pushcam2
ffffa000000000-ffffa000001000 r-xp 00000000 00:00 0                      [vdso]
`
	all, err := mappings(strings.NewReader(text), "/user/pushcam")
	if err != nil || len(all) != 2 || all[0] != (mapping{0x400000, 0xb5a000}) || all[1].to != 0x13f2000 {
		t.Errorf("%x, %v", all, err)
	}
	for name, text := range map[string]string{"nothing": "", "of another program": text, "garbled": "zz-11 /user/other"} {
		if all, err := mappings(strings.NewReader(text), "/user/other"); err == nil {
			t.Errorf("%s: %x", name, all)
		}
	}
}
