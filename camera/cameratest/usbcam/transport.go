package usbcam

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// transport is the webcam's cable: what is the same for all hosts.
type transport struct {
	mu   sync.Mutex
	conn io.Closer // leads to the host; nil when not plugged in
	done sync.WaitGroup

	// For a webcam in this machine's kernel, else nil: its folder in /sys, and
	// what waits until the kernel has noticed that the cable was pulled.
	sysfs func() (string, error)
	gone  func() error
}

// connect makes the webcam ready for a host at the other end of conn, which it
// owns from now on, and has serve answer it until the cable is pulled at either
// end. t.mu is held.
func (t *transport) connect(w *Webcam, conn io.Closer, link bus, serve func(*Webcam) error) error {
	err := errors.New("the webcam is plugged in already")
	if t.conn == nil {
		err = w.attach(link)
	}
	if err != nil {
		conn.Close()
		return err
	}
	t.conn, t.sysfs, t.gone = conn, nil, nil
	t.done.Go(func() {
		serve(w)
		conn.Close()
		w.detach()
	})
	return nil
}

// disconnect pulls the cable. t.mu is held.
func (t *transport) disconnect() {
	t.conn.Close()
	t.done.Wait()
	t.conn = nil
}

// Unplug pulls the cable and returns when all goroutines of the webcam are gone
// and, if it was plugged into this machine, when its kernel has noticed: the
// device and its nodes are gone then. It may be plugged in again.
func (w *Webcam) Unplug() error {
	t := &w.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil
	}
	w.Freeze(false)
	t.disconnect()
	if t.gone == nil {
		return nil
	}
	if err := t.gone(); err != nil {
		return fmt.Errorf("unplug: %w", err)
	}
	return nil
}
