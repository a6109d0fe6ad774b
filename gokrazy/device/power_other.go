//go:build !linux

package device

func endOthers() error { return ErrNotGokrazy }

func powerOff() error { return ErrNotGokrazy }

func restart() error { return ErrNotGokrazy }
