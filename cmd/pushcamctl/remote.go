package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/update"
)

// remote is a pushcam on the network, which is asked as its owner.
type remote struct {
	name    string     // "" if the user gave an address
	address netip.Addr // if there is no name
	port    string

	lookup func(context.Context, string) ([]netip.Addr, error)
	browse func(context.Context) ([]discovery.Found, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// password is asked for once. took is called when the camera has taken it; it
	// may be nil.
	password func(context.Context) (text string, took func(), err error)

	known string       // the password, "" before it was asked for
	id    string       // what it announces as its id
	last  []netip.Addr // where it was found; nil if it does not answer there any more
}

var _ update.Conn = (*remote)(nil)

const (
	lookupTimeout = 2 * time.Second
	browseTimeout = 2500 * time.Millisecond
	dialTimeout   = 3 * time.Second  // for one address
	answerTimeout = 30 * time.Second // until an answer begins; the password costs a busy Zero some time
	maxSentence   = 500              // bytes of an answer that says why not
)

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?$`)
)

// parseRemote takes a name or an address, with a port or without, or the link
// that find prints.
func parseRemote(text string) (*remote, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(text, "http://"), "/")
	c := &remote{port: "80"}
	if h, port, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("the port of %q is not a number from 1 to 65535", text)
		}
		host, c.port = h, port
	}
	host = strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(host); err == nil {
		c.address = a
		return c, nil
	}
	if len(host) > 253 || !hostName.MatchString(host) {
		return nil, fmt.Errorf("%q is neither a name nor an address, as pushcam, pushcam.local or 192.168.1.20", text)
	}
	c.name = strings.TrimSuffix(host, ".")
	return c, nil
}

func (c *remote) String() string {
	if c.name == "" {
		return c.authority(c.address)
	}
	if c.port != "80" {
		return c.name + ":" + c.port
	}
	return c.name
}

func (c *remote) authority(a netip.Addr) string {
	if c.port == "80" && !a.Is6() {
		return a.String()
	}
	return net.JoinHostPort(a.String(), c.port)
}

// addresses finds the camera by the system's resolver, and else by our own multicast
// DNS, because not every system resolves names below .local.
func (c *remote) addresses(ctx context.Context) ([]netip.Addr, error) {
	if c.name == "" {
		return []netip.Addr{c.address}, nil
	}
	if c.last != nil {
		return c.last, nil
	}
	all, err := c.resolve(ctx)
	c.last = all
	return all, err
}

func (c *remote) resolve(ctx context.Context) ([]netip.Addr, error) {
	names := []string{c.name}
	if !strings.Contains(c.name, ".") {
		names = []string{c.name + ".local", c.name}
	}
	for _, name := range names {
		looking, cancel := context.WithTimeout(ctx, lookupTimeout)
		all, err := c.lookup(looking, name)
		cancel()
		if err == nil && len(all) > 0 {
			return all, nil
		}
	}
	browsing, cancel := context.WithTimeout(ctx, browseTimeout)
	defer cancel()
	there, err := c.browse(browsing)
	if err == nil {
		for _, f := range there {
			if strings.EqualFold(f.Host, names[0]) && len(f.Addresses) > 0 {
				if c.port == "80" && f.Port != 0 {
					c.port = strconv.Itoa(f.Port)
				}
				c.id = f.ID
				return f.Addresses, nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("there is no %s on this network; pushcamctl find lists the pushcams that are there", c.name)
}

// Get asks the camera for what is its owner's. The caller closes the answer's
// body; that is also the end of its connection.
//
// The first request has no password, because another device may have the camera's
// address today: only who refuses it as a pushcam does is sent the password. That
// goes over the network unencrypted, as the pictures do.
func (c *remote) Get(ctx context.Context, path string) (*http.Response, error) {
	all, err := c.addresses(ctx)
	if err != nil {
		return nil, err
	}
	web := c.client(all, answerTimeout)
	probe := update.Request{Method: http.MethodGet, Path: path}
	resp, err := c.ask(ctx, web, all[0], probe, "")
	if err != nil {
		return nil, err
	}
	err = c.refusal(resp)
	resp.Body.Close()
	if !errors.Is(err, update.ErrPassword) {
		return nil, cmp.Or(err, fmt.Errorf("%s gives what is its owner's to everybody: it is not a pushcam; pushcamctl find lists those that are there", c))
	}
	took := func() {}
	if c.known == "" {
		known, f, err := c.password(ctx)
		if err != nil {
			return nil, err
		}
		if c.known = known; f != nil {
			took = f
		}
	}
	if resp, err = c.ask(ctx, web, all[0], probe, c.known); err != nil {
		return nil, err
	}
	if err := c.refusal(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	took()
	return resp, nil
}

// tells asks the camera what it tells everybody of itself. What it does not tell is
// left empty.
func (c *remote) tells(ctx context.Context) discovery.Status {
	var s discovery.Status
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	all, err := c.addresses(ctx)
	if err != nil {
		return s
	}
	resp, err := c.ask(ctx, c.client(all, stateTimeout), all[0], update.Request{Method: http.MethodGet, Path: "/state"}, "")
	if err != nil {
		return s
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if told, err := discovery.ReadStatus(resp.Body); err == nil {
			s = told
		}
	}
	if s.ID = cmp.Or(s.ID, c.id); !device.IsID(s.ID) {
		s.ID = ""
	}
	return s
}

// Send sends a request with the password that Get has asked for: Get must have had an
// answer before. The caller closes the answer's body.
func (c *remote) Send(ctx context.Context, r update.Request, timeout time.Duration) (*http.Response, error) {
	all, err := c.addresses(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.ask(ctx, c.client(all, timeout), all[0], r, c.known)
	if err != nil {
		return nil, err
	}
	if err := c.refusal(resp); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// client connects to the first of the addresses that takes the connection. timeout is
// from the end of a request to the beginning of its answer.
func (c *remote) client(all []netip.Addr, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{ // without a proxy: the camera is in this network
			DisableKeepAlives:     true,
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx, all) },
			ResponseHeaderTimeout: timeout,
			ExpectContinueTimeout: answerTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *remote) connect(ctx context.Context, all []netip.Addr) (net.Conn, error) {
	var failed error
	for _, a := range all {
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := c.dial(dialing, "tcp", net.JoinHostPort(a.String(), c.port))
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

func (c *remote) ask(ctx context.Context, web *http.Client, a netip.Addr, what update.Request, password string) (*http.Response, error) {
	u, err := url.Parse(what.Path)
	if err != nil {
		return nil, err
	}
	// The URL has the address and not the name: the owner's requests must name the
	// camera, and its addresses always do.
	u.Scheme, u.Host = "http", net.JoinHostPort(a.String(), c.port)
	r, err := http.NewRequestWithContext(ctx, what.Method, u.String(), what.Body)
	if err != nil {
		return nil, err
	}
	if what.Body != nil {
		r.ContentLength = what.Size
		r.Header.Set("Expect", "100-continue") // a refusal comes before the body goes
	}
	maps.Copy(r.Header, what.Header)
	if password != "" {
		r.SetBasicAuth("gokrazy", password)
	}
	resp, err := web.Do(r)
	var failed *url.Error
	switch {
	case err == nil:
		return resp, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	c.last = nil // it may have another address now
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no pushcam is at %s: nothing is served on port %s there; pushcamctl find lists the pushcams that are there", c, c.port)
	case errors.As(err, &failed) && failed.Timeout():
		return nil, fmt.Errorf("%s does not answer in time: is it switched on, and in this network?", c)
	case errors.As(err, &failed):
		err = failed.Err // without the URL, which the user did not type
	}
	return nil, fmt.Errorf("%s does not answer: %w; is it switched on, and in this network?", c, err)
}

// refusal returns nil for an answer that grants the request, and else an error with
// what the camera itself says.
func (c *remote) refusal(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	ours := strings.Contains(resp.Header.Get("WWW-Authenticate"), `realm="pushcam"`)
	if resp.StatusCode == http.StatusUnauthorized && ours {
		return fmt.Errorf("%w: %s has been given another one when its image was made; give that with -password -, or, if it is lost, write a card anew", update.ErrPassword, c)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxSentence)) // half a sentence is better than none
	sentence := discovery.Printable(strings.TrimSpace(string(text)))
	if err := update.Refusal(resp.StatusCode, c.String(), sentence); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError:
		return fmt.Errorf("%s says: %s", c, sentence)
	case http.StatusNotFound:
		return fmt.Errorf("%s has nothing for an owner: it is not a pushcam, or one that runs on a PC; pushcamctl find lists the pushcams that are there", c)
	}
	return fmt.Errorf("%s is not a pushcam: it answers %d where a pushcam asks for its owner's password; pushcamctl find lists those that are there", c, resp.StatusCode)
}
