//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/partition/partitiontest"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

// api sends a request as the owner.
func (m *machine) api(ctx context.Context, method, path string, body io.Reader, size int64, sum [sha256.Size]byte) (code int, said string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, m.url+path, body)
	if err != nil {
		return 0, "", err
	}
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	}
	req.SetBasicAuth("gokrazy", password)
	resp, err := web.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(text), err
}

// announce says, signed, that a root file system comes, whatever it is.
func (m *machine) announce(t *testing.T, root []byte) {
	t.Helper()
	is := &partition.Root{Version: "unknown"}
	if known, err := partition.InspectRoot(bytes.NewReader(root), int64(len(root))); err == nil {
		is = known
	}
	c := described(t, bytes.NewReader(root))
	text, err := signed.Manifest{Version: is.Version, Built: is.Built, Arch: "arm64", Root: c, Boot: c}.Sign(releaseSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	code, said, err := m.api(t.Context(), http.MethodPut, "/api/update/manifest", bytes.NewReader(text), int64(len(text)), sha256.Sum256(text))
	if err != nil || code != http.StatusNoContent {
		t.Fatalf("announce: %d %s %v", code, said, err)
	}
}

// upload sends a root file system. It does not have it tried.
func (m *machine) upload(t *testing.T, root []byte) {
	t.Helper()
	m.announce(t, root)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	code, said, err := m.api(ctx, http.MethodPut, "/api/update/root", bytes.NewReader(root), int64(len(root)), sha256.Sum256(root))
	if err != nil || code != http.StatusNoContent {
		t.Fatalf("upload: %d %s %v", code, said, err)
	}
}

// tryPath is the path and query that have an uploaded root tried.
func tryPath(root []byte) string { return fmt.Sprintf("/api/update/try?root=%x", sha256.Sum256(root)) }

// testRefused sends what is not for this pushcam. It is refused, and the pushcam goes on
// giving pictures.
func testRefused(t *testing.T, m *machine, version string) {
	text := filepath.Join(t.TempDir(), "text.gaf")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := partitiontest.Root{Version: "small", Hostname: "pushcam", Kernels: []string{"6.1.0-old"}, Built: time.Now()}
	old := with(t, root.Bytes())
	root.Machine = 62
	amd64 := with(t, root.Bytes())
	for _, tc := range []struct{ name, password, gaf, want string }{
		{"another processor", password, amd64, "the image is for amd64, and 127.0.0.1:"},
		{"another kernel", password, old, "with -kernel"},
		{"no image", password, text, "is not an image for updates"},
		// This is the last, because this address has to wait afterwards.
		{"a wrong password", "a stranger's", good(t), "the password is wrong"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			said, err := m.updateAs(t, t.Context(), tc.password, "-image", tc.gaf)
			if err == nil || !strings.Contains(said, tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	m.await(t, "the owner is let in again", func() error {
		code, said, err := m.api(t.Context(), http.MethodGet, "/api/update", nil, 0, [sha256.Size]byte{})
		if err == nil && code != http.StatusOK {
			err = errors.New(said)
		}
		return err
	})
	// These are sent without pushcamctl, which would refuse them itself.
	for name, bytes := range map[string][]byte{"random bytes": bytes.Repeat([]byte("random"), 1e6), "half a root": rootOf(t, good(t))[:8<<20]} {
		t.Run(name, func(t *testing.T) {
			m.upload(t, bytes)
			code, said, err := m.api(t.Context(), http.MethodPost, tryPath(bytes), nil, 0, [sha256.Size]byte{})
			if err != nil || code != http.StatusUnprocessableEntity {
				t.Errorf("%d %s %v", code, said, err)
			}
		})
	}
	t.Run("gokrazy's own", func(t *testing.T) {
		code, said, err := m.api(t.Context(), http.MethodGet, "/gokrazy/update/bootonly", nil, 0, [sha256.Size]byte{})
		if err != nil || code != http.StatusForbidden {
			t.Errorf("%d %s %v", code, said, err)
		}
	})
	m.runs(t, version)
}

// testCutOff ends uploads before their end.
func testCutOff(t *testing.T, m *machine, version string) {
	root := rootOf(t, good(t))
	stream := m.stream(t)
	for _, percent := range []int64{10, 50, 99} {
		t.Run(fmt.Sprint(percent, " %"), func(t *testing.T) {
			m.announce(t, root)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			reader, writer := io.Pipe()
			go func() {
				_, err := io.CopyN(writer, bytes.NewReader(root), int64(len(root))*percent/100)
				time.Sleep(time.Second) // so that some of it has arrived
				cancel()
				writer.CloseWithError(err)
			}()
			code, said, err := m.api(ctx, http.MethodPut, "/api/update/root", reader, int64(len(root)), sha256.Sum256(root))
			reader.Close()
			if err == nil {
				t.Errorf("half an upload is answered: %d %s", code, said)
			}
			m.is(t, "an idle pushcam", func(s state) bool { return s.Update.Phase == update.Idle && s.Program.Version == version })
			stream.await(t, true) // it has gone on
			code, said, err = m.api(t.Context(), http.MethodPost, tryPath(root), nil, 0, [sha256.Size]byte{})
			if err != nil || code != http.StatusConflict {
				t.Errorf("half an upload is tried: %d %s %v", code, said, err)
			}
		})
	}
}

// TestUpdatePowerCut cuts the power at each step of an update. The machine then comes up
// with a picture and with one of the two versions. Each trial ends. And the update can
// be sent again if the machine has the old version.
func TestUpdatePowerCut(t *testing.T) {
	t.Attr("fault", "update | the power is cut at each step of an update | the camera comes up with one of the two versions | the update can be sent again")
	if !*otaAll {
		t.Skip("takes a quarter of an hour: run it with \"go test -timeout 1h -run TestUpdate ./hack/e2e -ota-all\"")
	}
	p, newer := older(t)
	root := rootOf(t, good(t))
	try := func(t *testing.T, m *machine) {
		t.Helper()
		m.upload(t, root)
		// The power may be cut before it answers.
		go m.api(t.Context(), http.MethodPost, tryPath(root), nil, 0, [sha256.Size]byte{})
	}
	trial := func(t *testing.T, m *machine) {
		t.Helper()
		try(t, m)
		m.is(t, "the trial", func(s state) bool { return s.Update.Phase == update.OnTrial })
	}
	tests := []struct {
		name string
		cut  func(t *testing.T, m *machine, card string)
		want []string // versions
	}{
		{"while uploading", func(t *testing.T, m *machine, _ string) {
			m.announce(t, root)
			go m.api(t.Context(), http.MethodPut, "/api/update/root", slowly{bytes.NewReader(root)}, int64(len(root)), sha256.Sum256(root))
			m.is(t, "an upload", func(s state) bool {
				return s.Update.Phase == "receiving" && !strings.Contains(s.Update.Message, " 0 %")
			})
		}, []string{p.Version}},
		{"before the flag", func(t *testing.T, m *machine, _ string) {
			try(t, m)
			m.is(t, "what comes before it", func(s state) bool { return s.Update.Phase == "restarting" })
		}, []string{p.Version, newer}},
		{"at the flag", func(t *testing.T, m *machine, card string) {
			changed := next(t, p, card)
			try(t, m)
			changed(t)
		}, []string{newer}},
		{"when init has taken the flag", func(t *testing.T, m *machine, card string) {
			flag := next(t, p, card)
			try(t, m)
			flag(t)
			next(t, p, card)(t)
		}, []string{p.Version, newer}},
		{"at the beginning of the trial", func(t *testing.T, m *machine, _ string) { trial(t, m) }, []string{p.Version}},
		{"in the middle of the trial", func(t *testing.T, m *machine, _ string) {
			trial(t, m)
			m.is(t, "half a trial", func(s state) bool { return strings.Contains(s.Update.Message, "well for 1") })
		}, []string{p.Version}},
		{"at the commit's first sector", func(t *testing.T, m *machine, card string) {
			trial(t, m)
			next(t, p, card)(t)
		}, []string{p.Version, newer}},
		{"just after the commit", func(t *testing.T, m *machine, card string) {
			trial(t, m)
			m.is(t, "the commit", func(s state) bool { return s.Update.Last.Outcome == update.Committed })
		}, []string{newer}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			cam, card := newWebcam(), p.card(t)
			m := boot(t, card, p.uefi())
			cam.plug(t, m)
			m.runs(t, p.Version)
			tc.cut(t, m, card)
			m.cut()
			cam.unplug(t)

			m = boot(t, card, p.uefi())
			cam.plug(t, m)
			t.Cleanup(func() { cam.unplug(t) })
			s := m.is(t, "a pushcam on no trial", func(s state) bool { return s.Update.Phase == update.Idle })
			m.picture(t)
			got := s.Program.Version
			if !strings.Contains(strings.Join(tc.want, "|"), got) {
				t.Errorf("it runs %s afterwards, want one of %q", got, tc.want)
			}
			t.Logf("afterwards it runs %s, and the last update is %+v", got, s.Update.Last)
			if got == p.Version && s.Update.Last.Outcome == update.Committed || got == newer && s.Update.Last.Outcome != update.Committed {
				t.Errorf("it runs %s, and says of the update %+v", got, s.Update.Last)
			}
		})
	}
}

// slowly is a reader that makes an upload take its time.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 32<<10)])
}

// next returns a function that waits until the card's boot partition has another next
// boot than now.
func next(t *testing.T, p *product, card string) func(t *testing.T) {
	t.Helper()
	f, err := os.Open(card)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	boot := make([]byte, 100<<20)
	if _, err := f.ReadAt(boot, bootOffset); err != nil {
		t.Fatal(err)
	}
	// Both places begin with the same words.
	words, _, _ := strings.Cut(p.cmdline, "root=")
	var at []int64
	for from := 0; ; {
		i := bytes.Index(boot[from:], []byte(words+"root=PARTUUID="))
		if i < 0 {
			break
		}
		at = append(at, bootOffset+int64(from+i))
		from += i + len(words)
	}
	if len(at) != 2 {
		t.Fatalf("the boot partition names %d roots", len(at))
	}
	read := func() string {
		both := make([]byte, 2*512)
		for i, at := range at {
			if _, err := f.ReadAt(both[i*512:(i+1)*512-256], at); err != nil {
				t.Fatal(err)
			}
		}
		return string(both)
	}
	before := read()
	return func(t *testing.T) {
		t.Helper()
		for deadline := time.Now().Add(patience); read() == before; time.Sleep(50 * time.Microsecond) {
			if time.Now().After(deadline) {
				t.Fatal("the boot partition stays as it is")
			}
		}
	}
}
