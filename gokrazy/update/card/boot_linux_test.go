package card_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/fat"
)

// Two that write to the boot partition do it one after the other.
func TestEditBoot(t *testing.T) {
	c := testCard(t, 2)
	var edits sync.WaitGroup
	for i := range 8 {
		edits.Go(func() {
			err := c.EditBoot(func(f *fat.FS) error { return f.WriteFile(fmt.Sprint("file", i), []byte("x"), time.Unix(1e9, 0)) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	edits.Wait()
	err := c.EditBoot(func(f *fat.FS) error {
		for i := range 8 {
			if _, err := f.File(fmt.Sprint("file", i)); err != nil {
				t.Error(err)
			}
		}
		return io.ErrNoProgress
	})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("its error is %v", err)
	}
}
