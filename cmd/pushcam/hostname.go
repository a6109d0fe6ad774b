package main

import (
	"context"
	"errors"
	"time"
)

// errRenamed ends the program so that the system starts it anew.
var errRenamed = errors.New("the program is started anew, because the camera has another name")

// renameLook is how often the system's name is looked at.
const renameLook = 2 * time.Second

// awaitOtherName waits until the system has another name than this, and tells whether it
// has or ctx is done: the page of the set-up network gives it one. hostname is
// os.Hostname.
func awaitOtherName(ctx context.Context, name string, hostname func() (string, error)) bool {
	for {
		if now, err := hostname(); err == nil && now != name {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(renameLook):
		}
	}
}
