package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/network/status"
)

// In the rig, the kernel's dummy_hcd plugs the machine's USB port into the machine
// itself. One end of the cable is this board's port: the program gives it an address
// and asks nobody for one there.
func TestRigOwnPort(t *testing.T) {
	if os.Getenv("PUSHCAM_RIG") == "" {
		t.Skip(`needs dummy_hcd: run it with "go run ./hack/rig test"`)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx, []string{"-socket", socket, "-resolv-conf", filepath.Join(dir, "resolv.conf")}, io.Discard); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	var last status.Status
	var err error
	for ctx.Err() == nil {
		if last, err = statusOf(ctx, socket); err == nil {
			for _, l := range last.Links {
				if l.Kind == status.USB && l.Carrier && !l.Default && l.Why == "" && len(l.Addresses) == 1 && l.Addresses[0].From == status.Own {
					return
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Errorf("waited in vain for the address of the board's own port: %+v, %v", last, err)
}
