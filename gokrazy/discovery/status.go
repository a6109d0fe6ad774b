package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxStatus is how much of an answer is read, in bytes.
	maxStatus = 1 << 20
	// askTimeout is how long one address may take to answer.
	askTimeout = 2 * time.Second
)

// Status is what a pushcam says of itself at /state. Its texts are safe to print.
type Status struct {
	Phase   string `json:"phase"`            // of the camera
	Reason  string `json:"reason,omitempty"` // for it, where there is one
	Version string `json:"version"`          // of the program that runs
	Update  string `json:"update,omitempty"` // what there is to say of one: on trial, or rolled back and why
}

var errNoAddress = errors.New("it has announced no address")

// Status asks the pushcam for its state, at one address after the other. Each has
// two seconds, all together until ctx is done.
func (f *Found) Status(ctx context.Context) (Status, error) {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: it is in this network
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       askTimeout,
	}
	err := errNoAddress
	for _, a := range f.Addresses {
		var s Status
		if s, err = f.ask(ctx, client, a); err == nil || ctx.Err() != nil {
			return s, err
		}
	}
	return Status{}, err
}

// URL is that of the page at one of the addresses.
func (f *Found) URL(a netip.Addr) string {
	u := &url.URL{Scheme: "http", Host: f.authority(a), Path: "/"}
	return u.String()
}

func (f *Found) authority(a netip.Addr) string {
	if f.Port != 80 {
		return net.JoinHostPort(a.String(), strconv.Itoa(f.Port))
	}
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func (f *Found) ask(ctx context.Context, client *http.Client, a netip.Addr) (Status, error) {
	u := &url.URL{Scheme: "http", Host: f.authority(a), Path: "/state"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Status{}, err
	}
	res, err := client.Do(req)
	if failed := new(url.Error); errors.As(err, &failed) && failed.Timeout() {
		return Status{}, errors.New("it does not answer in time")
	} else if errors.As(err, &failed) {
		return Status{}, fmt.Errorf("it does not answer: %w", failed.Err) // we know whom we asked
	} else if err != nil {
		return Status{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("it answers %d where its state should be", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxStatus))
	if err != nil {
		return Status{}, fmt.Errorf("its state broke off: %w", err)
	}
	return parseStatus(text)
}

func parseStatus(text []byte) (Status, error) {
	var all struct {
		Camera  struct{ Phase, Reason string }
		Program struct{ Version string }
		Update  struct{ Message string }
	}
	if err := json.Unmarshal(text, &all); err != nil || all.Camera.Phase == "" {
		return Status{}, errors.New("what it gives as its state is not a pushcam's")
	}
	return Status{
		Phase:   printable(all.Camera.Phase),
		Reason:  printable(all.Camera.Reason),
		Version: printable(all.Program.Version),
		Update:  printable(all.Update.Message),
	}, nil
}
