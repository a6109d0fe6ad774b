package status

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	changesPath = "/changes"
	reloadPath  = "/reload"
	// reloadTimeout is for the answer of a program on the same computer.
	reloadTimeout = 3 * time.Second
	// silence is how long a followed program may say nothing, not even what is known.
	silence = 3 * heartbeat
	// retryPause is between two tries to follow a program that is not there.
	retryPause = time.Second
	// maxStatus bounds a status in bytes.
	maxStatus = 1 << 20
)

var errSilent = errors.New("the network program says nothing more")

// Reload tells the program that serves at socket that the settings have changed
// (setup.Save). It takes three seconds at most.
func Reload(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	return ask(ctx, socket, http.MethodPost, reloadPath, http.StatusNoContent, func([]byte) error { return nil })
}

// Follow calls tell with the status now and after every change, and with an error
// when the program that serves at socket cannot be heard any more, once until it
// can again. It calls it from this goroutine, and returns when ctx is done.
func Follow(ctx context.Context, socket string, tell func(Status, error)) {
	var said string
	for ctx.Err() == nil {
		err := follow(ctx, socket, func(s Status) {
			said = ""
			tell(s, nil)
		})
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			tell(Status{}, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// follow returns why it could not go on.
func follow(ctx context.Context, socket string, tell func(Status)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	var before string
	err := ask(ctx, socket, http.MethodGet, changesPath, http.StatusOK, func(line []byte) error {
		watch.Reset(silence)
		if string(line) == before {
			return nil // a heartbeat
		}
		before = string(line)
		var s Status
		if err := json.Unmarshal(line, &s); err != nil {
			return err
		}
		tell(s)
		return nil
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == nil {
		err = errSilent // it has ended
	}
	return err
}

// ask calls use for each line of an answer with the status want, and returns its error.
func ask(ctx context.Context, socket, method, path string, want int, use func([]byte) error) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://network"+path, nil)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("the network program does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		return fmt.Errorf("the network program answers %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxStatus)
	for lines.Scan() {
		if err := use(lines.Bytes()); err != nil {
			return fmt.Errorf("the network program's status cannot be read: %w", err)
		}
	}
	return lines.Err()
}
