package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update/card/cardtest"
)

// network is a camera that boots by itself, on a network of pipes: HTTP as it is,
// and the time of the test.
type network struct {
	*camera
	t       *testing.T
	ctx     context.Context
	program atomic.Pointer[Server] // that runs at the moment
	booted  func()                 // is called before the program of each further boot begins
	breaks  atomic.Int32           // uploads that break off
	stalls  atomic.Bool            // uploads stall
	conns   chan net.Conn
	closed  chan struct{} // what dials may still be under way then
}

func newNetwork(t *testing.T) *network {
	ctx, cancel := context.WithCancel(t.Context())
	n := &network{camera: newCamera(t), t: t, ctx: ctx, booted: func() {}, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.power("v1")
	web := &http.Server{Handler: n}
	served := make(chan struct{})
	go func() { defer close(served); web.Serve(n) }()
	t.Cleanup(func() { cancel(); web.Close(); <-served })
	return n
}

// power starts the program.
func (n *network) power(version string) {
	n.begin(version)
	n.Server.Reboot = func(context.Context) error {
		n.reboots++
		go func() {
			time.Sleep(5 * time.Second)
			n.restart()
			n.booted()
			n.power(map[int]string{2: "v1", 3: "v2"}[n.onCard().Running])
		}()
		return nil
	}
	n.program.Store(n.Server)
	go n.Server.Run(n.ctx)
}

func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut && n.stalls.Load():
		io.CopyN(io.Discard, r.Body, 100)
		<-n.ctx.Done() // it does not look whether anybody is still there
		panic(http.ErrAbortHandler)
	case r.Method == http.MethodPut && n.breaks.Add(-1) >= 0:
		io.CopyN(io.Discard, r.Body, 100)
		panic(http.ErrAbortHandler)
	}
	n.program.Load().ServeHTTP(w, r)
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}
func (n *network) Close() error   { close(n.closed); return nil }
func (n *network) Addr() net.Addr { return &net.UnixAddr{Name: "attic", Net: "pipe"} }

// String, Get and Send make it a Conn.
func (n *network) String() string { return "attic" }

func (n *network) Get(ctx context.Context, path string) (*http.Response, error) {
	return n.Send(ctx, Request{Method: http.MethodGet, Path: path}, time.Minute)
}

func (n *network) Send(ctx context.Context, what Request, timeout time.Duration) (*http.Response, error) {
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: timeout, ExpectContinueTimeout: timeout, DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case n.conns <- theirs:
			return ours, nil
		case <-n.closed:
			return nil, net.ErrClosed
		}
	}}}
	r, err := http.NewRequestWithContext(ctx, what.Method, "http://attic"+what.Path, what.Body)
	if err != nil {
		return nil, err
	}
	if what.Body != nil {
		r.ContentLength = what.Size
		r.Header.Set("Expect", "100-continue") // as pushcamctl, so that a refusal comes before the body goes
	}
	for k, v := range what.Header {
		r.Header[k] = v
	}
	resp, err := web.Do(r)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	defer resp.Body.Close()
	says, _ := io.ReadAll(resp.Body)
	if err := Refusal(resp.StatusCode, "attic", strings.TrimSpace(string(says))); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s %s", resp.Status, says)
}

func section(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

func failing(why string) func(context.Context) error {
	return func(context.Context) error { return errors.New(why) }
}

// Both ends, with each other, from the first byte to the verdict.
func TestClientAndServer(t *testing.T) {
	kernelRoot, newBoot := kernelImages()
	tests := []struct {
		name    string
		prepare func(n *network)
		root    []byte
		boot    []byte
		blind   bool
		want    Record // but for what is of chance
		why     string // part of it
		broke   int
		fails   error
	}{
		{name: "good", root: newRoot, want: Record{Outcome: Committed, From: "v1", To: "v2", Root: 3, Camera: true, Starts: 1}},
		{name: "good, after the upload broke off twice", root: newRoot, prepare: func(n *network) { n.breaks.Store(2) }, broke: 2,
			want: Record{Outcome: Committed, From: "v1", To: "v2", Root: 3, Camera: true, Starts: 1}},
		{name: "a kernel", root: kernelRoot, boot: newBoot, prepare: func(n *network) { n.booted = func() { n.runKernel() } },
			want: Record{Outcome: Committed, From: "v1", To: "v2", Root: 3, Kernel: newKernel, Camera: true, Starts: 1}},
		{name: "it gives no picture any more", root: newRoot, prepare: func(n *network) { n.booted = func() { n.picture = failing("no camera is found") } },
			want: Record{Outcome: RolledBack, From: "v1", To: "v2", Root: 3, Camera: true, Starts: 1}, why: "no camera is found"},
		{name: "a kernel and no picture any more", root: kernelRoot, boot: newBoot,
			prepare: func(n *network) { n.booted = func() { n.runKernel(); n.picture = failing("no camera is found") } },
			want:    Record{Outcome: RolledBack, From: "v1", To: "v2", Root: 3, Kernel: newKernel, Camera: true, Starts: 1}, why: "no camera is found"},
		{name: "it gave no picture before", root: newRoot, prepare: func(n *network) { n.picture = failing("no camera is found") }, fails: ErrNoPicture},
		{name: "it gave no picture before, and its owner knows", root: newRoot, blind: true, prepare: func(n *network) { n.picture = failing("no camera is found") },
			want: Record{Outcome: Committed, From: "v1", To: "v2", Root: 3, Starts: 1}},
		{name: "its owner has closed it", root: newRoot, prepare: func(n *network) { n.private = true }, fails: ErrNoPicture},
		{name: "not an image", root: []byte("text"), fails: ErrRefused},
		{name: "it forgets", root: newRoot, prepare: func(n *network) { n.booted = func() { os.Remove(filepath.Join(n.Dir, recordFile)) } },
			want: Record{Outcome: Committed, From: "v1", To: "v2", Root: 3, Camera: true}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				if tc.prepare != nil {
					tc.prepare(n)
				}
				var sent, total int64
				broke, trials := 0, 0
				c := &Client{Conn: n, Sent: func(d, t int64, _ time.Duration) { sent, total = d, t }, BrokeOff: func(error, time.Duration) { broke++ }}
				before, err := c.Status(t.Context())
				if err != nil || before.Version != "v1" || before.Phase != Idle || before.Hostname != "garden" {
					t.Fatalf("%+v, %v", before, err)
				}
				var boot string
				if tc.boot != nil {
					if boot, err = c.Upload(t.Context(), Boot, section(tc.boot)); err != nil {
						t.Fatal(err)
					}
				}
				root, err := c.Upload(t.Context(), Root, section(tc.root))
				if err != nil || sent != total || total != int64(len(tc.root)) || broke != tc.broke {
					t.Fatalf("%d of %d sent, %d broke off, %v", sent, total, broke, err)
				}
				record, err := c.Try(t.Context(), root, boot, tc.blind)
				if tc.fails != nil {
					if !errors.Is(err, tc.fails) || n.reboots > 0 || n.onCard().Next != (partition.Next{Root: 2}) {
						t.Errorf("%v, %d reboots, %+v", err, n.reboots, n.onCard())
					}
					return
				}
				if err != nil || record.Outcome != Undecided || record.Camera != tc.want.Camera {
					t.Fatalf("%+v, %v", record, err)
				}
				after, err := c.Await(t.Context(), record, func() { trials++ })
				if err != nil {
					t.Fatal(err)
				}
				got := *after.Last
				if !strings.Contains(got.Why, tc.why) || (got.Why == "") != (tc.why == "") || got.ID != record.ID {
					t.Errorf("%+v", got)
				}
				got.ID, got.Why, got.Saved = "", "", ""
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("the record (-want +got):\n%s", diff)
				}
				version, running := "v2", 3
				if tc.want.Outcome == RolledBack {
					version, running = "v1", 2
				}
				if after.Version != version || after.Root != running || after.Trouble != "" || trials != 1 {
					t.Errorf("%+v, %d trials", after, trials)
				}
				n.wantNoBoots()
			})
		})
	}
}

// A camera that takes no more of an upload is given up.
func TestUploadStalls(t *testing.T) {
	t.Attr("fault", "update | a camera that takes no more of an upload | the command gives up, in a sentence | –")
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		n.stalls.Store(true)
		broke := 0
		c := &Client{Conn: n, Sent: func(int64, int64, time.Duration) {}, BrokeOff: func(error, time.Duration) { broke++ }}
		_, err := c.Upload(t.Context(), Root, section(make([]byte, 500_000)))
		if err == nil || !strings.Contains(err.Error(), "does not take more: nothing was taken for 30s; tried 5 times") || broke != uploadTries-1 {
			t.Errorf("%v, %d broke off", err, broke)
		}
	})
}

// A camera that has not seen yet that an upload broke off takes the next one for a second
// one: it is asked again, but not for ever, and not while an update is on trial.
func TestUploadBusy(t *testing.T) {
	t.Attr("fault", "update | an upload breaks off, and a busy camera has not seen that yet | the command waits and tries again, 45 s at most | –")
	for name, tc := range map[string]struct {
		phase Phase
		free  time.Duration // when it is idle again
		took  time.Duration
		fails string
	}{
		"for a while":        {Receiving, 20 * time.Second, 22 * time.Second, ""}, // 1 s after it broke off, and seven pauses
		"for ever":           {Receiving, time.Hour, 49 * time.Second, "attic says: Another update is under way"},
		"it has just begun":  {Starting, 5 * time.Second, 7 * time.Second, ""},
		"an update on trial": {OnTrial, time.Hour, time.Second, "attic says: An update is on trial"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				broke := 0
				c := &Client{Conn: n, Sent: func(int64, int64, time.Duration) {}, BrokeOff: func(error, time.Duration) {
					broke++
					n.setPhase(tc.phase)
					time.AfterFunc(tc.free, func() { n.setPhase(Idle) })
				}}
				if _, err := c.Status(t.Context()); err != nil {
					t.Fatal(err)
				}
				n.breaks.Store(1)
				began := time.Now()
				_, err := c.Upload(t.Context(), Root, section(newRoot))
				if (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) || err != nil && !errors.Is(err, ErrRefused) {
					t.Errorf("%v, want %q", err, tc.fails)
				}
				if took := time.Since(began); took != tc.took || broke != 1 {
					t.Errorf("it took %v, want %v; %d broke off", took, tc.took, broke)
				}
			})
		})
	}
}

// A camera that began anew while an update was sent knows nothing of its signature any more.
func TestUploadToACameraThatBeganAnew(t *testing.T) {
	t.Attr("fault", "update | the camera begins anew while an update is sent | the command sends it again, signature and all | with the next attempt")
	text, err := newOffer(t).manifest.Sign(newSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c := &Client{Conn: n, Sent: func(int64, int64, time.Duration) {}, BrokeOff: func(error, time.Duration) { n.power("v1") }}
		if _, err := c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Announce(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		n.breaks.Store(1)
		if _, err := c.Upload(t.Context(), Root, section(newRoot)); err != nil {
			t.Error(err)
		}
		if _, err := c.Upload(t.Context(), Root, section(cardtest.Root("v3").Bytes())); !errors.Is(err, ErrRefused) {
			t.Errorf("what is not signed: %v", err)
		}
	})
}

// A client that leaves while the camera is tried, as with Ctrl-C, leaves everything
// as it is: today's trial must not ask for less than tomorrow's.
func TestClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c := &Client{Conn: n, Sent: func(int64, int64, time.Duration) {}}
		if _, err := c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		root, err := c.Upload(t.Context(), Root, section(newRoot))
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		n.picture = func(ctx context.Context) error {
			leave()
			<-ctx.Done()
			return ctx.Err()
		}
		if _, err := c.Try(ctx, root, "", true); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		s := n.program.Load().State()
		if b := n.onCard(); b.Next != (partition.Next{Root: 2}) || n.reboots > 0 || s.Phase != Idle || s.Last != nil {
			t.Errorf("%+v, %d reboots, %+v", b, n.reboots, s)
		}
	})
}

func TestClientIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c := &Client{Conn: n, Sent: func(int64, int64, time.Duration) {}, BrokeOff: func(error, time.Duration) {}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := c.Await(ctx, &Record{ID: "another"}, func() {}); err != nil {
			t.Errorf("an update that has gone another way: %v", err) // it is told at once: rolled back
		}
		n.breaks.Store(10)
		if _, err := c.Upload(ctx, Root, section(newRoot)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if _, err := c.Status(ctx); err == nil {
			t.Error("a status after the end")
		}
		// A camera that never says.
		n.program.Store(&Server{Log: n.Log})
		if s, err := c.Status(t.Context()); err != nil || s.Phase != Starting {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := c.Await(t.Context(), &Record{}, func() {}); err == nil || !strings.Contains(err.Error(), "not known what became of the update") {
			t.Errorf("error %v", err)
		}
	})
}
