package update

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// A digest is the one that its header has, but for the bits that base64 has too many.
func FuzzContentDigest(f *testing.F) {
	f.Add("sha-256=:" + strings.Repeat("A", 43) + "=:")
	f.Add("sha-512=:AAAA:, sha-256=:" + strings.Repeat("/", 42) + "8=:")
	f.Add("sha-256=:AAAA:")
	f.Fuzz(func(t *testing.T, text string) {
		sum, err := contentDigest(http.Header{"Content-Digest": {text}})
		if clean := strings.NewReplacer("\r", "", "\n", "").Replace(text); err == nil && !strings.Contains(clean, base64.StdEncoding.EncodeToString(sum[:])[:42]) {
			t.Errorf("%q has the digest %x", text, sum)
		}
	})
}
