package main

import (
	"bytes"
	"log/slog"
	"testing"
	"time"
)

// On a clock that was not moved times stay what they are.
func TestOnClock(t *testing.T) {
	t.Attr("fault", "system | the clock is set while times are known | they are as long ago as they were | –")
	if got := onClock(time.Time{}); !got.IsZero() {
		t.Errorf("no time became %v", got)
	}
	for _, taken := range []time.Time{time.Now(), time.Now().Add(-time.Hour), time.Now().Add(-time.Hour).Round(0)} {
		if d := onClock(taken).Sub(taken.Round(0)); d.Abs() > time.Minute {
			t.Errorf("%v is off by %v", taken, d)
		}
	}
}

func TestRedate(t *testing.T) {
	var b bytes.Buffer
	then := time.Date(2026, 11, 28, 14, 30, 0, 5e6, time.UTC)
	slog.New(slog.NewTextHandler(&b, nil)).Info("a line", "time", "other")
	_, rest, _ := bytes.Cut(bytes.Clone(b.Bytes()), []byte(" "))
	if got, want := string(redate(b.Bytes(), then)), "time=2026-11-28T14:30:00.005Z "+string(rest); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, line := range []string{"", "time=", "\n", "level=INFO time=1970-01-01T00:00:00Z\n"} {
		if got := string(redate([]byte(line), then)); got != line {
			t.Errorf("%q became %q", line, got)
		}
	}
}
