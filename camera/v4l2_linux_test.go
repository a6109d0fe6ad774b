//go:build cgo

package camera

import (
	"testing"
	"time"
)

func TestStampTime(t *testing.T) {
	now := time.Now()
	const monotonic = time.Hour
	tests := []struct {
		name  string
		stamp time.Duration
		age   time.Duration
	}{
		{"fresh", monotonic - 40*time.Millisecond, 40 * time.Millisecond},
		{"this moment", monotonic, 0},
		{"from the future", monotonic + time.Microsecond, 0},
		{"none", 0, 0},
		{"Unix time", time.Duration(1_800_000_000) * time.Second, 0},
		{"stale beyond belief", monotonic - maxAge - 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := stampTime(tt.stamp, monotonic, now)
			if age := now.Sub(got); age != tt.age {
				t.Errorf("age %v, want %v", age, tt.age)
			}
			if wall := now.Round(0).Sub(got.Round(0)); wall != tt.age {
				t.Errorf("age by the wall clock %v, want %v", wall, tt.age)
			}
		})
	}
}

// drops is a sink that only counts.
type drops map[DropKind]int

func (drops) Started(Device, Format)      {}
func (drops) Frame(*Frame)                {}
func (d drops) Drop(kind DropKind, n int) { d[kind] += n }

func TestCountLost(t *testing.T) {
	tests := []struct {
		name      string
		sequences []uint32
		want      int
	}{
		{"none", []uint32{0, 1, 2, 3}, 0},
		{"it does not begin at 0", []uint32{17, 18}, 0},
		{"gaps", []uint32{0, 2, 3, 7}, 4},
		{"over the end of the numbers", []uint32{0xfffffffe, 1}, 2},
		{"backwards", []uint32{100, 3, 4, 6}, 1},
		{"a leap", []uint32{0, 1_000_000, 1_000_001}, 0},
		{"a driver that does not number", []uint32{0, 0, 0}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := drops{}
			c := capture{sink: d}
			for _, s := range tt.sequences {
				c.countLost(s)
			}
			if d[DropLost] != tt.want {
				t.Errorf("%d lost, want %d", d[DropLost], tt.want)
			}
		})
	}
}

func TestAdjusted(t *testing.T) {
	got := Format{PixelFormat: "MJPG", Width: 640, Height: 480, FPS: 29.97}
	tests := []struct {
		name string
		want Settings
		text string
	}{
		{"the device's own choice", Settings{}, ""},
		{"as asked", Settings{Width: 640, Height: 480, FPS: 30}, ""},
		{"another size", Settings{Width: 641, Height: 479}, "asked for 641×479, the camera gives 640×480; it offers much"},
		{"another rate", Settings{Width: 640, Height: 480, FPS: 7}, "asked for 7 fps, the camera gives 29.97 fps; it offers much"},
		{"both", Settings{Width: 641, Height: 479, FPS: 7}, "asked for 641×479 at 7 fps, the camera gives 640×480 at 29.97 fps; it offers much"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if text := adjusted(tt.want, got, func() string { return "much" }); text != tt.text {
				t.Errorf("got %q, want %q", text, tt.text)
			}
		})
	}
}
