package update

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
)

// Conn is a connection to a camera, as its owner. The caller closes the body of
// what it answers. A name or an address for people is its String.
type Conn interface {
	fmt.Stringer
	// Get asks for a path. The camera may have restarted since it was asked last. An
	// answer with another status than 200 is an error.
	Get(ctx context.Context, path string) (*http.Response, error)
	// Send sends something to a camera from which Get has had an answer. timeout is
	// from the end of the request to the beginning of the answer. An answer with
	// another status than 200 or 204 is an error: that of Refusal if it has one.
	Send(ctx context.Context, r Request, timeout time.Duration) (*http.Response, error)
}

// Request is what can be sent to a camera.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         io.Reader
	Size         int64 // bytes of it
}

// Client updates a camera, from another computer.
type Client struct {
	Conn Conn
	// Sent is told how many bytes of an upload have been sent since it began. After
	// Upload has returned, or has called BrokeOff, it is not called any more for
	// that attempt.
	Sent func(done, total int64, elapsed time.Duration)
	// BrokeOff is told why an upload broke off, before it is tried again after the
	// pause.
	BrokeOff func(why error, pause time.Duration)

	announced []byte // by Announce
}

const (
	maxAnswer    = 64 << 10         // bytes
	cardTimeout  = 2 * time.Minute  // for a card to take what was sent
	stallTimeout = 30 * time.Second // within which the camera must take more of an upload
	firstStall   = 45 * time.Second // the same for its beginning: to check the password takes the camera some time
	uploadTries  = 5
	uploadPause  = time.Second // after the first attempt; each further one doubles it
	// busyTime is how long the camera may be busy: one that has not seen yet that an upload
	// has broken off takes it for under way until nothing has come for 10 s, and the card of
	// a busy one takes its time for what did come.
	busyTime     = 45 * time.Second
	busyPause    = 3 * time.Second
	pollInterval = 2 * time.Second
	pollTimeout  = 10 * time.Second
	startPolls   = 5 // while the camera's program has only just begun
	// VerdictTimeout is from the restart into the update to the end of all: a trial
	// ends itself after 3 minutes, and the boots are two or, with a kernel that goes
	// back, three.
	VerdictTimeout = 8 * time.Minute
)

func (c *Client) status(ctx context.Context) (*Status, error) {
	resp, err := c.Conn.Get(ctx, "/api/update")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	s := new(Status)
	return s, c.decode(resp, s)
}

// Status asks how the camera is. If its program has only just begun and does not know
// yet, Status asks again for some seconds.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	for polls := 0; ; polls++ {
		s, err := c.status(ctx)
		if err != nil || s.Phase != Starting || polls == startPolls {
			return s, err
		}
		if err := sleep(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

func (c *Client) decode(resp *http.Response, v any) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("what %s says of updates is not a pushcam's: %w", c.Conn, err)
	}
	return nil
}

// Upload sends a part. If that breaks off, it begins anew, up to uploadTries times in
// all. It returns the digest by which Try names the part.
func (c *Client) Upload(ctx context.Context, part Part, content *io.SectionReader) (digest string, err error) {
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(content, 0, content.Size())); err != nil {
		return "", err
	}
	sum := hash.Sum(nil)
	header := http.Header{"Content-Digest": {"sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"}}
	broke := false
	return fmt.Sprintf("%x", sum), c.again(ctx, func() error {
		err := c.upload(ctx, part, content, header)
		if broke && c.announced != nil && errors.Is(err, ErrRefused) && !errors.Is(err, errBusy) {
			// It may have begun anew since, and not know the signature any more.
			if err = c.announce(ctx); err == nil {
				err = c.upload(ctx, part, content, header)
			}
		}
		broke = err != nil
		return err
	})
}

// Announce sends what an update says of itself (signed.Manifest), before its parts are
// uploaded.
func (c *Client) Announce(ctx context.Context, manifest []byte) error {
	c.announced = manifest
	return c.again(ctx, func() error { return c.announce(ctx) })
}

// announce is one attempt.
func (c *Client) announce(ctx context.Context) error {
	resp, err := c.Conn.Send(ctx, Request{Method: http.MethodPut, Path: Path + manifestPath, Body: bytes.NewReader(c.announced), Size: int64(len(c.announced))}, cardTimeout)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// again tries something up to uploadTries times, and waits while the camera is busy.
func (c *Client) again(ctx context.Context, do func() error) error {
	for try, pause := 1, uploadPause; ; try, pause = try+1, 2*pause {
		err := c.whenFree(ctx, do)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, ErrPassword), errors.Is(err, ErrRefused):
			return err
		case try == uploadTries:
			return fmt.Errorf("%w; tried %d times", err, try)
		}
		c.BrokeOff(err, pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// whenFree does something when the camera is not busy with something else. A trial is not
// waited for: it takes minutes.
func (c *Client) whenFree(ctx context.Context, do func() error) error {
	for began := time.Now(); ; {
		err := do()
		if !errors.Is(err, errBusy) || time.Since(began) > busyTime {
			return err
		}
		if s, asked := c.status(ctx); asked == nil && s.Phase == OnTrial {
			return err
		}
		if err := sleep(ctx, busyPause); err != nil {
			return err
		}
	}
}

var errStalled = fmt.Errorf("nothing was taken for %v", stallTimeout)

// upload is one attempt.
func (c *Client) upload(ctx context.Context, part Part, content *io.SectionReader, header http.Header) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(firstStall, func() { cancel(errStalled) })
	defer stalled.Stop()
	began, total := time.Now(), content.Size()
	body := &watchedReader{Reader: io.NewSectionReader(content, 0, total), show: func(done int64) {
		if stalled.Reset(stallTimeout); done == total {
			stalled.Stop() // from here on the answer is waited for
		}
		c.Sent(done, total, time.Since(began))
	}}
	resp, err := c.Conn.Send(ctx, Request{Method: http.MethodPut, Path: Path + string(part), Header: header, Body: body, Size: total}, cardTimeout)
	body.end()
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return fmt.Errorf("%s does not take more: %w", c.Conn, cause)
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// watchedReader tells how much of it was read, until end is called: net/http may go on
// reading for a moment after it has the answer.
type watchedReader struct {
	io.Reader
	done int64

	mu   sync.Mutex // held while show is called
	over bool
	show func(done int64)
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.done += int64(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 && !w.over {
		w.show(w.done)
	}
	return n, err
}

func (w *watchedReader) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// Try has the camera restart into what was uploaded. root and boot are the digests of
// the root file system and of the boot partition, "" if none was sent. If the camera
// gives no picture now, Try fails with ErrNoPicture, unless blind is set: then the
// trial does not ask for a picture. The Record tells whether it does.
func (c *Client) Try(ctx context.Context, root, boot string, blind bool) (*Record, error) {
	query := url.Values{string(Root): {root}}
	if boot != "" {
		query.Set(string(Boot), boot)
	}
	if blind {
		query.Set(pictureWord, noPicture)
	}
	resp, err := c.Conn.Send(ctx, Request{Method: http.MethodPost, Path: Path + tryPath + "?" + query.Encode()}, cardTimeout)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	r := new(Record)
	return r, c.decode(resp, r)
}

// Await waits until the update is decided whose record Try has returned. It returns
// the status from then, with that update's record as Last. onTrial is called at most
// once, when the update is seen on trial.
func (c *Client) Await(ctx context.Context, of *Record, onTrial func()) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, VerdictTimeout)
	defer cancel()
	var last error
	for seen := false; ; {
		if err := sleep(ctx, pollInterval); errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("it is not known what became of the update: %s has not said it within %v: %w", c.Conn, VerdictTimeout, last)
		} else if err != nil {
			return nil, err
		}
		asking, cancel := context.WithTimeout(ctx, pollTimeout)
		s, err := c.status(asking)
		cancel()
		switch last = err; {
		case errors.Is(err, ErrPassword):
			return nil, err
		case err != nil, s.Phase == Starting, s.Phase == Restarting: // ask again
		case s.Phase == OnTrial:
			if !seen {
				seen = true
				onTrial()
			}
		default:
			if s.Last = s.verdict(of); s.Last.Outcome != Undecided {
				return s, nil
			}
		}
	}
}

// verdict is the record of an update as the status shows it. If the camera has lost
// the record, the partition that runs tells the outcome.
func (s *Status) verdict(of *Record) *Record {
	if s.Last != nil && s.Last.ID == of.ID {
		return s.Last
	}
	r := *of
	switch {
	case s.Phase != Idle:
		r.Outcome = Undecided
	case s.Root == of.Root:
		r.Outcome = Committed
	default:
		r.Outcome, r.Why = RolledBack, "of a reason that it has forgotten: /perm does not keep it"
	}
	return &r
}

// sleep waits, but not longer than until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
