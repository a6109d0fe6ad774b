package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
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
	"github.com/pushcam/pushcam/gokrazy/identity"
	"github.com/pushcam/pushcam/gokrazy/update"
)

// remote is a pushcam on the network, which is asked as its owner.
type remote struct {
	name     string     // "" if the user gave an address
	address  netip.Addr // if there is no name
	port     string     // "" for the usual one
	pagePort string     // of its page; the same
	insecure bool       // it need not prove who it is, and is asked without TLS

	lookup func(context.Context, string) ([]netip.Addr, error)
	browse func(context.Context) ([]discovery.Found, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	// password is asked for once. took is called when the camera has taken it; it
	// may be nil.
	password func(context.Context) (text string, took func(), err error)
	// trust is asked once whether who has proved to have a key, and says that it has an
	// id, is the camera. It may ask the user.
	trust func(key, id string) error

	known string       // the password, "" before it was asked for
	key   string       // the fingerprint of the camera's key, "" before it was trusted
	id    string       // what its certificate, or else multicast DNS, says to be its id
	last  []netip.Addr // where it was found; nil if it does not answer there any more
}

var _ update.Conn = (*remote)(nil)

const (
	lookupTimeout = 2 * time.Second
	browseTimeout = 2500 * time.Millisecond
	dialTimeout   = 3 * time.Second  // for one address
	proofTimeout  = 15 * time.Second // for it to prove who it is, which costs a busy one some time
	proofTries    = 3                // because the camera itself ends what takes more than 10 s
	answerTimeout = 30 * time.Second // until an answer begins; the password costs a busy Zero some time
	maxSentence   = 1000             // bytes of an answer that says why not
	maxList       = 64 << 10         // bytes of an answer that lists something

	tlsPort, plainPort = "443", "80"
)

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*\.?$`)
)

// parseRemote takes a name or an address, with the port of TLS or without, or a link,
// as find prints one. The port of a page says nothing about that of TLS.
func parseRemote(text string) (*remote, error) {
	host, page := strings.CutPrefix(strings.TrimPrefix(text, "https://"), "http://")
	host = strings.TrimSuffix(host, "/")
	c := new(remote)
	if h, port, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("the port of %q is not a number from 1 to 65535", text)
		}
		if host = h; page {
			c.pagePort = port
		} else {
			c.port = port
		}
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
	host := c.name
	if host == "" {
		host = c.address.String()
	}
	switch port, usual := c.at(); {
	case port != usual:
		return net.JoinHostPort(host, port)
	case c.address.Is6():
		return "[" + host + "]"
	}
	return host
}

// at is the port where the camera is asked, and the one where it usually is.
func (c *remote) at() (port, usual string) {
	if c.insecure {
		return cmp.Or(c.pagePort, c.port, plainPort), plainPort
	}
	return cmp.Or(c.port, tlsPort), tlsPort
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
				if c.pagePort == "" && f.Port != 0 {
					c.pagePort = strconv.Itoa(f.Port)
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
// Nothing is sent before the camera has proved who it is. The first request has no
// password, because it may be a pushcam without an owner, or one on a PC: only who
// refuses it as a pushcam does is sent the password.
func (c *remote) Get(ctx context.Context, path string) (*http.Response, error) {
	all, err := c.addresses(ctx)
	if err == nil && c.key == "" && !c.insecure {
		err = c.prove(ctx, all)
	}
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
// left empty. Its id is the one that it has proved, if it had to prove who it is: else it
// could have another camera's password.
func (c *remote) tells(ctx context.Context) discovery.Status {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	s := c.toldState(ctx)
	if !c.insecure {
		s.ID = c.id
	}
	if s.ID = cmp.Or(s.ID, c.id); !device.IsID(s.ID) {
		s.ID = ""
	}
	if s.ID == "" && !c.insecure {
		s.Hostname = ""
	}
	return s
}

func (c *remote) toldState(ctx context.Context) (s discovery.Status) {
	all, err := c.addresses(ctx)
	if err != nil {
		return s
	}
	resp, err := c.ask(ctx, c.client(all, stateTimeout), all[0], update.Request{Method: http.MethodGet, Path: "/state"}, "")
	if err != nil {
		return s
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s
	}
	if s, err = discovery.ReadStatus(resp.Body); err != nil {
		return discovery.Status{}
	}
	return s
}

// prove has the camera prove who it is, and asks whether that is whom the user means.
func (c *remote) prove(ctx context.Context, all []netip.Addr) error {
	conn, err := c.connectTLS(ctx, all)
	if err != nil {
		return c.unreached(ctx, err)
	}
	cert := conn.ConnectionState().PeerCertificates[0]
	conn.Close()
	c.id = ""
	if id := cert.Subject.CommonName; device.IsID(id) {
		c.id = id
	}
	key := identity.Fingerprint(cert)
	if err := c.trust(key, c.id); err != nil {
		return err
	}
	c.key = key
	return nil
}

// errImpostor is of somebody who has another key than the camera.
var errImpostor = errors.New("another device answers in its place, or its key was changed meanwhile")

// connectTLS connects, and has the other end prove that it has the camera's key, or any
// if that is not known yet. Names and times in its certificate do not matter, because
// the camera has signed it itself.
func (c *remote) connectTLS(ctx context.Context, all []netip.Addr) (conn *tls.Conn, err error) {
	for range proofTries {
		conn, err = c.handshake(ctx, all)
		if err == nil || ctx.Err() != nil || !isBusy(err) {
			break
		}
	}
	return conn, err
}

// isBusy tells the errors of a handshake that was not done in time.
func isBusy(err error) bool {
	late, ok := err.(interface{ Timeout() bool })
	return ok && late.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

func (c *remote) handshake(ctx context.Context, all []netip.Addr) (*tls.Conn, error) {
	conn, err := c.connect(ctx, all)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         c.name,
		InsecureSkipVerify: true, // what is checked instead is the key
	})
	proving, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	err = secure.HandshakeContext(proving)
	if err == nil && c.key != "" && identity.Fingerprint(secure.ConnectionState().PeerCertificates[0]) != c.key {
		err = errImpostor
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
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

// decode reads an answer in JSON on something, and closes it.
func (c *remote) decode(resp *http.Response, to any, on string) error {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxList))
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		return fmt.Errorf("what %s says of %s is not a pushcam's: %w", c, on, err)
	}
	return nil
}

// client connects to the first of the addresses that takes the connection. timeout is
// from the end of a request to the beginning of its answer.
func (c *remote) client(all []netip.Addr, timeout time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{ // without a proxy: the camera is in this network
			DisableKeepAlives:     true,
			DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx, all) },
			DialTLSContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connectTLS(ctx, all) },
			ResponseHeaderTimeout: timeout,
			ExpectContinueTimeout: answerTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *remote) connect(ctx context.Context, all []netip.Addr) (net.Conn, error) {
	var failed error
	port, _ := c.at()
	for _, a := range all {
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := c.dial(dialing, "tcp", net.JoinHostPort(a.String(), port))
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
	port, _ := c.at()
	if u.Scheme, u.Host = "https", net.JoinHostPort(a.String(), port); c.insecure {
		u.Scheme = "http"
	}
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
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	return resp, nil
}

// unreached says why there is no answer.
func (c *remote) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.last = nil // it may have another address now
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the URL, which the user did not type
	}
	port, _ := c.at()
	late, ok := err.(interface{ Timeout() bool })
	switch noTLS := new(tls.RecordHeaderError); {
	case errors.Is(err, syscall.ECONNREFUSED) && c.insecure:
		return fmt.Errorf("no pushcam is at %s: nothing is served on port %s there; pushcamctl find lists the pushcams that are there", c, port)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no pushcam is at %s that can prove who it is: nothing is served on port %s there; pushcamctl find lists the pushcams that are there, and one whose version is too old for that is updated once with -insecure", c, port)
	case errors.Is(err, errImpostor):
		return fmt.Errorf("%s has not proved to be the camera that it was: %w; nothing was sent to it", c, err)
	case errors.As(err, noTLS):
		return fmt.Errorf("%s does not speak TLS on port %s: give its name or its address without a port", c, port)
	case ok && late.Timeout():
		return fmt.Errorf("%s does not answer in time: is it switched on, and in this network?", c)
	}
	return fmt.Errorf("%s does not answer: %w; is it switched on, and in this network?", c, err)
}

// refusal returns nil for an answer that grants the request, and else an error with
// what the camera itself says.
func (c *remote) refusal(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
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
