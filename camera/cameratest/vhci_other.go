//go:build !linux

package cameratest

// Only Linux has a virtual USB host to plug into.
type transport struct{}
