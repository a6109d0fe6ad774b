package wifi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// commandTimeout is for one answer. wpa_supplicant answers in no time, or hangs.
	commandTimeout = 5 * time.Second
	// maxReply is the longest answer or event that is read, in bytes; wpa_supplicant
	// sends 4096 at most.
	maxReply = 8 << 10
	// maxEvents may wait to be taken.
	maxEvents = 64
)

// A control is a connection to the control socket of wpa_supplicant: a socket for
// commands, and one on which it tells events. Its methods are called by one goroutine.
type control struct {
	// events is closed when there will be none any more.
	events chan event

	commands, ear *net.UnixConn
	buf           []byte
	closed        chan struct{}
	listening     sync.WaitGroup
}

var dials atomic.Uint64

// dial connects to the socket at path, which wpa_supplicant makes when it starts.
func dial(path string) (*control, error) {
	c := &control{events: make(chan event, maxEvents), buf: make([]byte, maxReply), closed: make(chan struct{})}
	var err error
	if c.commands, err = dialOne(path); err != nil {
		return nil, err
	}
	if c.ear, err = dialOne(path); err != nil {
		c.commands.Close()
		return nil, err
	}
	if _, err = converse(c.ear, c.buf, "ATTACH"); err != nil {
		c.commands.Close()
		c.ear.Close()
		return nil, err
	}
	c.ear.SetDeadline(time.Time{})
	c.listening.Go(c.listen)
	return c, nil
}

// dialOne gives the socket an abstract name (unix(7)), to which wpa_supplicant answers,
// and which is no file that would be left over.
func dialOne(path string) (*net.UnixConn, error) {
	name := fmt.Sprintf("@pushcam-wifi-%d-%d", os.Getpid(), dials.Add(1))
	return net.DialUnix("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}, &net.UnixAddr{Name: path, Net: "unixgram"})
}

func (c *control) close() {
	close(c.closed)
	c.commands.Close()
	c.ear.Close()
	c.listening.Wait()
}

func (c *control) listen() {
	defer close(c.events)
	for buf := make([]byte, maxReply); ; {
		n, err := c.ear.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil { // the other end has gone
			return
		}
		e, ok := parseEvent(string(buf[:n]))
		if !ok {
			continue
		}
		select {
		case c.events <- e:
		case <-c.closed:
			return
		}
	}
}

// errRefused is wrapped by errors that mean that wpa_supplicant has answered, and not
// with what was wanted. With any other error it is of no use any more.
var errRefused = errors.New("wpa_supplicant refuses")

// ask sends a command and returns the answer.
func (c *control) ask(command string) (string, error) {
	return converse(c.commands, c.buf, command)
}

// tell sends a command that is answered with OK. Of a command with a secret, errors
// name only the first words.
func (c *control) tell(command string, args ...any) error {
	_, err := c.ask(fmt.Sprintf(command, args...))
	return err
}

func converse(conn *net.UnixConn, buf []byte, command string) (string, error) {
	words := strings.SplitN(command, " ", 4)
	name := strings.Join(words[:min(len(words), 3)], " ")
	conn.SetDeadline(time.Now().Add(commandTimeout))
	if _, err := conn.Write([]byte(command)); err != nil {
		return "", fmt.Errorf("tell wpa_supplicant %s: %w", name, err)
	}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return "", fmt.Errorf("wpa_supplicant does not answer %s: %w", name, err)
		}
		reply := strings.TrimSuffix(string(buf[:n]), "\n")
		switch {
		case strings.HasPrefix(reply, "<"): // an event has overtaken the answer
			continue
		case strings.HasPrefix(reply, "FAIL"), strings.HasPrefix(reply, "UNKNOWN COMMAND"):
			return "", fmt.Errorf("%w %s: %s", errRefused, name, reply)
		}
		return reply, nil
	}
}
