package v4l2

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func TestControlsSet(t *testing.T) {
	tests := []struct {
		text string
		want Controls
		err  string
	}{
		{"rotate=180", Controls{"rotate": "180"}, ""},
		{"White-Balance=Daylight, hflip=ON", Controls{"white_balance": "daylight", "hflip": "on"}, ""},
		{"White Balance, Auto & Preset=auto", nil, "name=value"},
		{"rotate", nil, "name=value"},
		{"=5", nil, "a control is called"},
		{"rotate=", nil, "has a value"},
		{"rotate=1\x00", nil, "has a value"},
		{strings.Repeat("a", 65) + "=1", nil, "a control is called"},
	}
	for _, tt := range tests {
		var c Controls
		err := c.Set(tt.text)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.err)
		} else if diff := cmp.Diff(tt.want, c); err == nil && diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.text, diff)
		}
	}
	var many Controls
	for i := range maxControls {
		if err := many.Set(fmt.Sprintf("c%d=1", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := many.Set("another=1"); err == nil {
		t.Error("there is no end of them")
	}
	if got := (Controls{"b": "2", "a": "1"}).String(); got != "a=1,b=2" {
		t.Error(got)
	}
}

// Of two names for one control that counts which was set last; and a part of what one of ours
// sets may be changed alone.
func TestControlsChange(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		was, want   Controls
	}{
		{"power_line", "60", Controls{"power_line_frequency": "50_hz", "iso": "100"}, Controls{"power_line": "60", "iso": "100"}},
		{"power_line_frequency", "60_hz", Controls{"power_line": "50"}, Controls{"power_line_frequency": "60_hz"}},
		{"power_line_frequency", DefaultValue, Controls{"power_line": "50"}, Controls{}},
		{"exposure", "auto", Controls{"auto_exposure": "manual_mode", "exposure_time_absolute": "300"}, Controls{"exposure": "auto"}},
		{"exposure_time_absolute", "300", Controls{"exposure": "10ms"}, Controls{"exposure": "10ms", "exposure_time_absolute": "300"}},
		{"exposure_time_absolute", DefaultValue, Controls{"exposure": "10ms", "exposure_time_absolute": "300"}, Controls{}},
		{"brightness", DefaultValue, Controls{"brightness": "1", "contrast": "2"}, Controls{"contrast": "2"}},
	} {
		if tt.was.Change(tt.name, tt.value); !cmp.Equal(tt.want, tt.was) {
			t.Errorf("with %s=%s it is %v, want %v", tt.name, tt.value, tt.was, tt.want)
		}
	}
}

func FuzzControlsSet(f *testing.F) {
	f.Add("rotate=180,hflip=on")
	f.Add("=,=,")
	f.Fuzz(func(t *testing.T, text string) {
		var c Controls
		if c.Set(text) != nil {
			return
		}
		var again Controls
		if err := again.Set(c.String()); err != nil || !cmp.Equal(c, again) {
			t.Errorf("%q reads as %v, written and read %v, %v", text, c, again, err)
		}
	})
}
