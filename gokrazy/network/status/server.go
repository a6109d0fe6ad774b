package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConnections bounds how many others may ask at a time; more wait.
	maxConnections = 32
	// sendTimeout is for one line to somebody who does not read.
	sendTimeout = 5 * time.Second
	// heartbeat is how often followers hear what they know already, so that they
	// know that this program is still there.
	heartbeat = 20 * time.Second
)

// A Server has the latest Status and serves it. Its zero value is ready. All its
// methods may be called by any goroutine.
type Server struct {
	// Reload is called when a program tells that it has changed the settings
	// (setup.Save). It must return at once. nil: nobody is told.
	Reload func()

	mu      sync.Mutex
	status  Status
	changed chan struct{} // closed at the next change; nil is made when asked for
}

// Update lets change work on a copy of the status, which is the latest from then
// on. It must put new slices in the place of old ones and leave those as they are.
func (s *Server) Update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.status
	change(&next)
	if reflect.DeepEqual(next, s.status) {
		return
	}
	s.status = next
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Status is the latest, and what will be closed when that has changed.
func (s *Server) Status() (Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.status.onWall(time.Now()), s.changed
}

// Run serves on a unix socket at path until ctx is done, for the owner of the
// process alone. It makes the folder and replaces a socket that is left over.
func (s *Server) Run(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("the network's status cannot be served: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return err
	}
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: sendTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err = server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ServeHTTP answers POST /reload by Reload, and GET /changes with a line for the status
// now and one for each change, until the client goes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == reloadPath && r.Method == http.MethodPost {
		if s.Reload != nil {
			s.Reload()
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.URL.Path != changesPath {
		http.Error(w, "The network's status is at "+changesPath+".", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "The network's status can only be read: use GET.", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	control, lines := http.NewResponseController(w), json.NewEncoder(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		status, changed := s.Status()
		control.SetWriteDeadline(time.Now().Add(sendTimeout)) // a recorder in a test has none
		if lines.Encode(status) != nil || control.Flush() != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}
