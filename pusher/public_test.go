package pusher

import (
	"encoding/json"
	"testing"
)

func TestWithoutFolders(t *testing.T) {
	for text, want := range map[string]string{
		``:                                     ``,
		`/`:                                    `/`,
		`"/dev/video0 is used by motion"`:      `"video0 is used by motion"`,
		`"settings: /perm/pushcam/a.json.bad"`: `"settings: a.json.bad"`,
		`"replay:/home/me/pictures/"`:          `"replay:pictures/"`,
		`"source=/home/me/x.mjpeg"`:            `"source=x.mjpeg"`,
		`("/sys/class/leds/ACT")`:              `("ACT")`,
		`"no /perm"`:                           `"no /perm"`,
		`"see http://pushcam.local/a/b"`:       `"see http://pushcam.local/a/b"`,
		`"192.0.2.7/24"`:                       `"192.0.2.7/24"`,
		`"image/jpeg, and/or"`:                 `"image/jpeg, and/or"`,
		`"Mbit/s / 2 //x"`:                     `"Mbit/s / 2 //x"`,
		`"/dev/größe.jpg"`:                     `"größe.jpg"`,
		`"write /a/b: full\nsync\n/perm/c"`:    `"write b: full\nsync\nc"`,
		"write /a/b: full\n/perm/c":            "write b: full\nc",
	} {
		if got := string(withoutFolders([]byte(text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// What is JSON stays JSON, and what has no folders left is not changed again.
func FuzzWithoutFolders(f *testing.F) {
	f.Add("/dev/video0 is busy")
	f.Add("a\"/b\\/c/ /d//e/f")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Skip()
		}
		once := withoutFolders(b)
		if !json.Valid(once) {
			t.Errorf("%q becomes %q", b, once)
		}
	})
}
