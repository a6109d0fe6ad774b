//go:build !linux

package device

// SetHostname gives the system a name, until it starts again.
func SetHostname(string) error { return ErrNotGokrazy }
