package discovery

import "testing"

// What some computer gives as its state can be shown at a terminal.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"camera":{"phase":"live"},"program":{"version":"v1"},"network":{"host":"pushcam.local","wifi":{"network":{"ssid":"home","signal_dbm":-50}}},"id":"a1"}`))
	f.Add([]byte(`{"camera":{"phase":"\u001b[31mlive"},"hostname":"\u009b2J","unowned":true}`))
	f.Add([]byte(`{"camera":{"phase":"live"},"network":{"host":".local"},"update":{"message":"\u202e"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStatus(text)
		if err != nil {
			return
		}
		for _, shown := range []string{s.Phase, s.Reason, s.Version, s.Update, s.Host, s.WiFi, s.ID, s.Hostname} {
			if shown != Printable(shown) {
				t.Errorf("%q is shown", shown)
			}
		}
	})
}
