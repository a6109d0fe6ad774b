package main

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/setup"
)

func TestWiFi(t *testing.T) {
	key, err := setup.ParseKey([]byte("My home"), "hyacinth 7")
	if err != nil {
		t.Fatal(err)
	}
	want := setup.Settings{Country: "DE", Networks: []setup.Network{{SSID: []byte("My home"), PSK: key}}}
	asked := ""
	byTerminal := &program{askPassword: func(_ context.Context, prompt string) (string, error) {
		asked = prompt
		return "hyacinth 7", nil
	}}
	byInput := &program{stdin: strings.NewReader("hyacinth 7\r\nwhat follows")}
	for name, p := range map[string]*program{"a terminal": byTerminal, "the standard input": byInput} {
		got, err := p.wifi(t.Context(), "My home", "de")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if !strings.Contains(asked, `"My home"`) {
		t.Errorf("the question is %q", asked)
	}
	for _, tt := range []struct{ ssid, country, input, want string }{
		{"", "Germany", "", "is no country"},
		{strings.Repeat("x", 33), "", "hyacinth 7\n", "at most 32 bytes"},
		{"a\nb", "", "hyacinth 7\n", "control character"},
		{"home", "", "short\n", "at least 8 characters"},
		{"home", "", "", "nothing was entered"},
	} {
		if _, err := (&program{stdin: strings.NewReader(tt.input)}).wifi(t.Context(), tt.ssid, tt.country); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, %q, %q: %v, not %q", tt.ssid, tt.country, tt.input, err, tt.want)
		}
	}
	if got, err := new(program).wifi(t.Context(), "", ""); err != nil || !cmp.Equal(got, setup.Settings{}) {
		t.Errorf("nothing to set: %+v, %v", got, err)
	}
}
