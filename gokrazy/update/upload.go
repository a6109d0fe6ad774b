package update

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/durable"
	"github.com/pushcam/pushcam/gokrazy/update/card"
	"github.com/pushcam/pushcam/gokrazy/words"
)

// put takes a part. If the client leaves halfway, what runs stays as it is.
func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	part := Part(filepath.Base(r.URL.Path))
	sum, err := contentDigest(r.Header)
	switch {
	case err != nil:
		words.Error(w, r, sentence(err), http.StatusBadRequest)
		return
	case r.ContentLength <= 0:
		words.Error(w, r, "An upload needs its length (Content-Length)", http.StatusLengthRequired)
		return
	}
	if code, err := s.enter(Receiving, r.ContentLength); err != nil {
		words.Error(w, r, sentence(err), code)
		return
	}
	defer s.setPhase(Idle)
	s.mu.Lock()
	delete(s.sent, part)
	s.mu.Unlock()
	m, err := s.covers(part, r.ContentLength, sum)
	if err != nil {
		s.Log.Warn("an update is refused", "from", r.RemoteAddr, "part", part, "err", err)
		words.Error(w, r, sentence(err), statusCode(err))
		return
	}
	var body io.Reader = &countedReader{r.Body, s}
	if m != nil {
		body = content(m, part).Reader(body) // so that nothing else is written
	}
	if part == Root {
		err = s.Card.WriteRoot(body, r.ContentLength, sum)
	} else {
		err = s.keepBoot(body, r.ContentLength, sum)
	}
	if err != nil {
		s.Log.Warn("an upload failed", "part", part, "err", err)
		words.Error(w, r, sentence(err), statusCode(err))
		return
	}
	digest := fmt.Sprintf("%x", sum)
	s.mu.Lock()
	s.sent[part] = sentPart{digest, m, s.trust.signer}
	if part == Root {
		s.size = r.ContentLength
	}
	s.mu.Unlock()
	s.Log.Info("uploaded", "part", part, "bytes", r.ContentLength, "sha256", digest)
	w.WriteHeader(http.StatusNoContent)
}

// keepBoot keeps a boot partition on /perm until try writes it to its place, which is
// quick because it does not wait for the network. There must be room for the copy of
// the present boot partition as well, without which a new kernel is not tried.
func (s *Server) keepBoot(body io.Reader, size int64, sum [sha256.Size]byte) error {
	_, room, err := s.Card.Room()
	if err != nil {
		return err
	}
	if size > room {
		return fmt.Errorf("%w: a boot partition of %.1f MB has no room in %.1f MB", card.ErrNotFit, float64(size)/1e6, float64(room)/1e6)
	}
	s.removeImages() // those of an earlier upload would take the room
	present, err := s.Card.BootUsed()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	if err := durable.CheckRoom(s.Dir, size+present+spareRoom); err != nil {
		return err
	}
	f, err := durable.Create(filepath.Join(s.Dir, bootFile), size)
	if err != nil {
		return err
	}
	defer f.Discard()
	arrived := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, arrived), body, size); err != nil {
		return err
	}
	if [sha256.Size]byte(arrived.Sum(nil)) != sum {
		return fmt.Errorf("%w: what arrived is not what was sent", card.ErrDamaged)
	}
	return f.Commit()
}

// contentDigest reads sha-256=:BASE64: (RFC 9530).
func contentDigest(h http.Header) (sum [sha256.Size]byte, err error) {
	for field := range strings.SplitSeq(h.Get("Content-Digest"), ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(field), "sha-256=:")
		if !ok {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, ":"))
		if err == nil && len(b) == len(sum) {
			return [sha256.Size]byte(b), nil
		}
	}
	return sum, errors.New("an upload needs its SHA-256, as Content-Digest: sha-256=:…: (RFC 9530)")
}

// countedReader counts for the status how much has arrived.
type countedReader struct {
	io.Reader
	s *Server
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.done += int64(n)
	return n, err
}
