package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// parts run side by side until one of them fails or the program is to end. An
// errgroup would wait for ever for a part that hangs, and would not know which one
// it is.
type parts struct {
	ctx  context.Context // done when all are to end
	stop context.CancelCauseFunc

	all     sync.WaitGroup
	mu      sync.Mutex
	running []string // names of those that have not ended
	failed  error    // of the first that failed
}

// endTime is how long the parts have to end. It is more than the camera gives its
// driver (5 s), and together with the time for which the button is held, and the
// one that gokrazy has to answer, it is less than the 15 s after which a button
// that is held has switched the appliance off.
const endTime = 8 * time.Second

func newParts(ctx context.Context) *parts {
	p := new(parts)
	p.ctx, p.stop = context.WithCancelCause(ctx)
	return p
}

// run starts a part, which ends when the context is done. An error ends all.
func (p *parts) run(name string, part func(context.Context) error) {
	p.mu.Lock()
	p.running = append(p.running, name)
	p.mu.Unlock()
	p.all.Go(func() {
		err := part(p.ctx)
		p.mu.Lock()
		p.running = slices.DeleteFunc(p.running, func(n string) bool { return n == name })
		if p.failed == nil {
			p.failed = err
		}
		p.mu.Unlock()
		if err != nil {
			p.stop(err)
		}
	})
}

// wait returns when all parts have ended, or endTime after they were to: a part
// that hangs then is left to the end of the program, and named in the error.
func (p *parts) wait() error {
	defer p.stop(nil)
	ended := make(chan struct{})
	go func() {
		p.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-p.ctx.Done():
		select {
		case <-ended:
		case <-time.After(endTime):
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.running) > 0 {
		return fmt.Errorf("the program ends without waiting any longer for %s, which did not end within %v", strings.Join(p.running, " and "), endTime)
	}
	return p.failed
}
