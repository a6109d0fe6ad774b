package gpio_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/pushcam/pushcam/gpio"
	"github.com/pushcam/pushcam/gpio/gpiotest"
	"go.uber.org/goleak"
)

var (
	_ gpio.LED     = (*gpiotest.LED)(nil)
	_ gpio.Blinker = (*gpiotest.Blinker)(nil)
	_ gpio.Input   = (*gpiotest.Button)(nil)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logbook keeps what was logged, for tests that count it.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logbook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.buf.String(), func(r rune) bool { return r == '\n' })
}
