package device

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// LockText has the kernel keep this program's own file in memory: its code, its
// constants, and what is embedded in it. Without that a page of it is read from the
// card when it is first needed, or needed again, and a card that hangs then stops not
// only the goroutine that needs it but the whole program, because Go's collector waits
// for a thread that waits for the card.
//
// It reads the file and takes its size in memory, which it returns in bytes: some
// 10 MB. mlockall(2) would do more than that: it would also lock what Go has reserved
// and does not use. A program belongs to it that is linked statically, as all of the
// image's are; libraries are not locked. It needs to be root.
func LockText() (bytes int64, err error) {
	file, err := os.Executable()
	if err != nil {
		return 0, err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	defer maps.Close()
	all, err := mappings(maps, file)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/maps: %w", err)
	}
	for _, m := range all {
		// By the system call itself, because the memory is no slice of Go's.
		if _, _, errno := unix.Syscall(unix.SYS_MLOCK, m.from, m.to-m.from, 0); errno != 0 {
			return bytes, os.NewSyscallError("mlock", errno)
		}
		bytes += int64(m.to - m.from)
	}
	return bytes, nil
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// mappings finds those of a file in what /proc/self/maps says (proc(5)), as
// "00400000-00b5a000 r-xp 00000000 b3:02 52    /user/pushcam".
func mappings(maps io.Reader, file string) (all []mapping, err error) {
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		if !strings.HasSuffix(lines.Text(), " "+file) {
			continue
		}
		var m mapping
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &m.from, &m.to); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		all = append(all, m)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("there is nothing of " + file)
	}
	return all, nil
}
