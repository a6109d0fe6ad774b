package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/partition"
)

// updateStatus and updateRecord are what a camera says at /api/update: see
// cmd/pushcam.
type updateStatus struct {
	Phase    string        `json:"phase"`
	Message  string        `json:"message"`
	Trouble  string        `json:"trouble"`
	Hostname string        `json:"hostname"`
	Version  string        `json:"version"`
	Built    time.Time     `json:"built"`
	Arch     string        `json:"arch"`
	Kernel   string        `json:"kernel"`
	Root     int           `json:"root"`
	MaxRoot  int64         `json:"max_root"`
	MaxBoot  int64         `json:"max_boot"`
	Last     *updateRecord `json:"last"`
}

type updateRecord struct {
	ID    string `json:"id"`
	State string `json:"state"`
	To    string `json:"to"`
	Root  int    `json:"root"`
	Why   string `json:"why"`
}

const (
	maxUpdateAnswer = 64 << 10         // bytes
	partTimeout     = 2 * time.Minute  // for a card to take what was sent
	stallTimeout    = 30 * time.Second // in which something of an upload must go
	uploadTries     = 5
	pollInterval    = 2 * time.Second
	pollTimeout     = 10 * time.Second
	// verdictTimeout is from the restart into the update to the end of all: a
	// trial ends itself after 3 minutes, and the boots are two or, with a kernel
	// that goes back, three.
	verdictTimeout = 8 * time.Minute
)

// updater brings a camera to another version.
type updater struct {
	cam      *remote
	out      io.Writer
	terminal bool
}

func (u *updater) status(ctx context.Context) (*updateStatus, error) {
	resp, err := u.cam.get(ctx, "/api/update")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	s := new(updateStatus)
	return s, decode(u.cam, resp, s)
}

// begun is the status of a camera whose program has found out where it stands,
// which takes it a moment, or of one that does not within some seconds.
func (u *updater) begun(ctx context.Context) (*updateStatus, error) {
	for tries := 0; ; tries++ {
		s, err := u.status(ctx)
		if err != nil || s.Phase != "" || tries == 5 {
			return s, err
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func decode(cam *remote, resp *http.Response, v any) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxUpdateAnswer))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("what %s says of updates is not a pushcam's: %w", cam, err)
	}
	return nil
}

// run uploads, has it tried, and waits for the verdict.
func (u *updater) run(ctx context.Context, a *partition.Archive, kernel bool) error {
	began := time.Now()
	query := make(url.Values)
	parts := []struct {
		name, verb string
		content    *io.SectionReader
	}{{"root", "sending ", a.Root}, {"boot", "kernel  ", a.Boot}}
	if !kernel {
		parts = parts[:1]
	}
	for _, part := range parts {
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(part.content, 0, part.content.Size())); err != nil {
			return err
		}
		query.Set(part.name, fmt.Sprintf("%x", sum.Sum(nil)))
		if err := u.upload(ctx, part.name, part.verb, part.content, sum.Sum(nil)); err != nil {
			return err
		}
	}
	resp, err := u.cam.send(ctx, request{method: http.MethodPost, path: "/api/update/try?" + query.Encode()}, partTimeout)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	record := new(updateRecord)
	if err := decode(u.cam, resp, record); err != nil {
		return err
	}
	fmt.Fprintf(u.out, "%s restarts into it\n", u.cam)
	return u.await(ctx, record, began)
}

// upload sends a part, whole, as often as that breaks off.
func (u *updater) upload(ctx context.Context, name, verb string, content *io.SectionReader, sum []byte) error {
	header := http.Header{"Content-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"}}
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		err := u.once(ctx, name, verb, content, header)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, errWrongPassword), errors.Is(err, errRefused):
			return err
		case try == uploadTries:
			return fmt.Errorf("%w; tried %d times", err, try)
		}
		fmt.Fprintf(u.out, "the upload broke off: %v; again in %v\n", err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errStalled = fmt.Errorf("nothing was taken for %v", stallTimeout)

func (u *updater) once(ctx context.Context, name, verb string, content *io.SectionReader, header http.Header) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	bar := &progress{out: u.out, terminal: u.terminal, verb: verb}
	stalled := time.AfterFunc(stallTimeout+answerTimeout, func() { cancel(errStalled) })
	defer stalled.Stop()
	body := &watchedReader{
		Reader: io.NewSectionReader(content, 0, content.Size()), began: time.Now(), total: content.Size(),
		show: func(p image.Progress) {
			if stalled.Reset(stallTimeout); p.Done == p.Total {
				stalled.Stop() // from here the answer is waited for
			}
			bar.show(p)
		},
	}
	resp, err := u.cam.send(ctx, request{method: http.MethodPut, path: "/api/update/" + name, header: header, body: body, size: content.Size()}, partTimeout)
	body.end()
	bar.end()
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return fmt.Errorf("%s does not take more: %w", u.cam, cause)
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// watchedReader tells how much of it was read, until it is over: net/http may go on
// reading for a moment after it has the answer.
type watchedReader struct {
	io.Reader
	began       time.Time
	done, total int64

	mu   sync.Mutex // held while show is called
	over bool
	show func(image.Progress)
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.done += int64(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && !w.over {
		w.show(image.Progress{Done: w.done, Total: w.total, Elapsed: time.Since(w.began)})
	}
	return n, err
}

func (w *watchedReader) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// await says what becomes of the update.
func (u *updater) await(ctx context.Context, record *updateRecord, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, verdictTimeout)
	defer cancel()
	to := visible(bytes.TrimSpace([]byte(record.To)))
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	onTrial := false
	var last error
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("it is not known what became of the update: %s has not said it within %v: %w", u.cam, verdictTimeout, last)
			}
			return ctx.Err()
		}
		asking, cancel := context.WithTimeout(ctx, pollTimeout)
		s, err := u.status(asking)
		cancel()
		if last = err; err != nil || s.Phase == "" {
			if errors.Is(err, errWrongPassword) {
				return err
			}
			continue // it restarts
		}
		state, why := s.verdict(record)
		switch {
		case s.Phase == "trial" && !onTrial:
			onTrial = true
			fmt.Fprintf(u.out, "%s runs %s on trial\n", u.cam, to)
		case s.Phase == "restarting", s.Phase == "trial":
		case state == "committed":
			fmt.Fprintf(u.out, "committed: %s runs %s, %v after the beginning\n", u.cam, to, time.Since(began).Round(time.Second))
			return nil
		case state == "rolled back":
			return fmt.Errorf("rolled back: %s runs %s again, because %s", u.cam, visible([]byte(s.Version)), visible([]byte(why)))
		}
	}
}

// verdict is what became of an update, as far as it is decided.
func (s *updateStatus) verdict(of *updateRecord) (state, why string) {
	switch {
	case s.Last != nil && s.Last.ID == of.ID:
		return s.Last.State, s.Last.Why
	case s.Phase != "idle":
		return "", ""
	case s.Root == of.Root:
		return "committed", ""
	}
	return "rolled back", "of a reason that it has forgotten: /perm does not keep it"
}
