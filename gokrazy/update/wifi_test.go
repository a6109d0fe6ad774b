package update

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
)

// An update by which the board's radio would lose its firmware is tried only if the owner
// wants that: with a cable the trial does not notice.
func TestUpdateWithoutWiFi(t *testing.T) {
	t.Attr("fault", "update | an image without firmware for the board's radio | it is not tried before the owner has said so | –")
	with := cardtest.Root("v2")
	with.WiFi = `{"sha256":{"/lib/firmware/brcm/brcmfmac43455-sdio.bin":"00"}}`
	for _, tt := range []struct {
		name    string
		chips   []string
		root    []byte
		picture error
		code    int
		says    []string
	}{
		{"no radio", nil, newRoot, nil, 200, nil},
		{"its firmware", []string{"BCM43455"}, with.Bytes(), nil, 200, nil},
		{"none", []string{"BCM43455"}, newRoot, nil, 428, []string{"Wi-Fi would not work", "BCM43455"}},
		{"none, and no picture", []string{"BCM43455"}, newRoot, errors.New("its cable is loose"), 428, []string{"BCM43455", "its cable is loose"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newCamera(t)
			a.Chips = tt.chips
			a.picture = func(context.Context) error { return tt.picture }
			code, said := a.take(tt.root)
			if code != tt.code {
				t.Errorf("%d %s", code, said)
			}
			for _, word := range tt.says {
				if !strings.Contains(said, word) || strings.Count(said, "\n") > 1 {
					t.Errorf("it says %q, not %q", said, word)
				}
			}
			if code == http.StatusPreconditionRequired {
				if code, said := a.ask("POST", fmt.Sprintf("/api/update/try?root=%x&picture=no", sha256.Sum256(tt.root)), nil, nil); code != http.StatusOK {
					t.Errorf("all the same: %d %s", code, said)
				}
			}
		})
	}
}
