//go:build !linux

package device

import "context"

// OnEnding waits for ctx: only on Linux is there such a process 1.
func OnEnding(ctx context.Context, _, _ func()) { <-ctx.Done() }
