package discovery

import (
	"cmp"
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
	"strings"
	"sync"
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
	Host    string `json:"-"`                // its name on the network, as pushcam.local; empty if it has none now
	WiFi    string `json:"wifi,omitempty"`   // the wireless network that it is in; empty if it is in none
	// Signal is how strong that is heard, in dBm; 0 if it is not known.
	Signal int    `json:"signal_dbm,omitempty"`
	ID     string `json:"id,omitempty"` // of the camera (device.ID); older pushcams have none
	// Hostname is the name that its image was made for. On the network it may have
	// another one, with a number, which is what older pushcams tell here.
	Hostname string `json:"hostname,omitempty"`
	// Unowned says that nobody has chosen the owner's password yet.
	Unowned bool `json:"unowned,omitempty"`
}

var errNoAddress = errors.New("it has announced no address")

// Status asks the pushcam for its state, at all of its addresses at the same time. Each
// has two seconds, all until ctx is done. Addresses that did not answer as this pushcam
// are then taken out of f: what a name server or a router remembers, or another computer
// announces, may be an address that somebody else has today.
func (f *Found) Status(ctx context.Context) (Status, error) {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: it is in this network
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       askTimeout,
	}
	states, errs := make([]Status, len(f.Addresses)), make([]error, len(f.Addresses))
	var asking sync.WaitGroup
	for i, a := range f.Addresses {
		asking.Go(func() { states[i], errs[i] = f.ask(ctx, client, a) })
	}
	asking.Wait()
	var answered []netip.Addr
	state, err := Status{}, errNoAddress
	for i, a := range f.Addresses {
		if errs[i] == nil && answered == nil {
			state = states[i]
		}
		if errs[i] == nil {
			answered = append(answered, a)
		}
	}
	switch {
	case answered != nil:
		err = nil
	case len(errs) > 0:
		err = errs[0]
	}
	f.Addresses = answered
	return state, err
}

// Link is where a browser finds the page; "" if no address is known. No browser takes
// the zone that a link-local IPv6 address needs: where there is only such a one, the
// link has the name.
func (f *Found) Link() string {
	if len(f.Addresses) == 0 {
		return ""
	}
	u := &url.URL{Scheme: "http", Host: f.at(f.Host), Path: "/"}
	for _, a := range f.Addresses {
		if a.Zone() == "" {
			u.Host = f.at(a.String())
			break
		}
	}
	return u.String()
}

// at is a host with the port, where a browser needs that.
func (f *Found) at(host string) string {
	switch {
	case f.Port != 80:
		return net.JoinHostPort(host, strconv.Itoa(f.Port))
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

func (f *Found) ask(ctx context.Context, client *http.Client, a netip.Addr) (Status, error) {
	u := &url.URL{Scheme: "http", Host: f.at(a.String()), Path: "/state"}
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
	if res.StatusCode == http.StatusUnauthorized { // it is there, and tells strangers nothing
		return Status{Phase: "closed", Reason: "only who knows its password may look", ID: f.ID}, nil
	}
	if res.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("it answers %d where its state should be", res.StatusCode)
	}
	s, err := ReadStatus(res.Body)
	anotherID := s.ID != "" && f.ID != "" && s.ID != f.ID
	if err == nil && (anotherID || s.Host != "" && !strings.EqualFold(s.Host, f.Host)) {
		err = fmt.Errorf("another camera, %s, answers at %s", s.Host, a)
	}
	return s, err
}

// ReadStatus reads what a pushcam answers to a GET of /state.
func ReadStatus(body io.Reader) (Status, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxStatus))
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
		Network struct {
			Host string
			WiFi struct {
				Network struct {
					SSID   string
					Signal int `json:"signal_dbm"`
				}
			}
		}
		ID, Hostname string
		Unowned      bool
	}
	if err := json.Unmarshal(text, &all); err != nil || all.Camera.Phase == "" {
		return Status{}, errors.New("what it gives as its state is not a pushcam's")
	}
	return Status{
		Phase:    printable(all.Camera.Phase),
		Reason:   printable(all.Camera.Reason),
		Version:  printable(all.Program.Version),
		Update:   printable(all.Update.Message),
		Host:     printable(all.Network.Host),
		WiFi:     printable(all.Network.WiFi.Network.SSID),
		Signal:   all.Network.WiFi.Network.Signal,
		ID:       printable(all.ID),
		Hostname: printable(cmp.Or(all.Hostname, strings.TrimSuffix(all.Network.Host, "."+domain))),
		Unowned:  all.Unowned,
	}, nil
}
