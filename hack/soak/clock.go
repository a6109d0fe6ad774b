//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// A clock is the program's, which jumps, and not this computer's: the program is built with a
// package time whose Now adds what is in a file. Times that are taken of a running clock
// (monotonic) stay as they are, as when a time server sets a system's clock.
type clock struct {
	file *os.File     // of 8 bytes, which the program has in its memory
	jump atomic.Int64 // in seconds
}

// clockName is the clock's file below the program's root, and clockEnv tells the program
// where that is.
const (
	clockName = "clock"
	clockEnv  = "PUSHCAM_SOAK_CLOCK"
)

// readsClock is added to the program.
const readsClock = `package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

func init() {
	f, err := os.Open(os.Getenv("` + clockEnv + `"))
	if err != nil {
		panic(err)
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	time.Jump = (*int64)(unsafe.Pointer(&m[0]))
}
`

// build makes the clock, and returns the file for go build's -overlay.
func (c *clock) build(ctx context.Context, dir string) (overlay string, err error) {
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(goroot)), "src/time/time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	changed := strings.Replace(string(text), now, "var Jump *int64\n\n"+now+"\tif Jump != nil {\n\t\tsec += *Jump\n\t}\n", 1)
	if changed == string(text) {
		return "", fmt.Errorf("%s has not the function Now that this program knows", original)
	}
	checkout, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	files := map[string]string{"time.go": changed, "readsclock.go": readsClock}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		original: filepath.Join(dir, "time.go"),
		filepath.Join(strings.TrimSpace(string(checkout)), "cmd/pushcam/readsclock.go"): filepath.Join(dir, "readsclock.go"),
	}})
	if err != nil {
		return "", err
	}
	if c.file, err = os.Create(filepath.Join(dir, clockName)); err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return "", err
	}
	return overlay, c.set(0)
}

// set has the program's clock be so many seconds before this computer's.
func (c *clock) set(jump int64) error {
	_, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(jump)), 0)
	c.jump.Store(jump)
	return err
}

// run sets the clock to something else again and again, until ctx is done.
func (c *clock) run(ctx context.Context, random *rand.Rand) error {
	const year = 365 * 24 * 3600
	for rest(ctx, random, 5*time.Second, 30*time.Second) {
		jump := random.Int64N(20*year) - 10*year
		switch random.IntN(4) {
		case 0:
			jump = 1 - time.Now().Unix() // as a board starts that has no clock
		case 1:
			jump = 0
		case 2:
			jump = random.Int64N(7200) - 3600
		}
		if err := c.set(jump); err != nil {
			return err
		}
	}
	return c.set(0)
}

// age is how old a frame is that has a time of the program's clock; false if it is of the
// clock before the last jump.
func (c *clock) age(captured time.Time) (time.Duration, bool) {
	age := time.Since(captured.Add(-time.Duration(c.jump.Load()) * time.Second))
	return age, age > -time.Second && age < time.Minute
}
