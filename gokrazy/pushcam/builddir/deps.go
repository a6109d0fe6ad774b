//go:build deps

// Package deps names what the image is made of, so that go.mod and go.sum pin
// all of it. It is never compiled.
package deps

import (
	_ "github.com/gokrazy/firmware"
	_ "github.com/gokrazy/gokrazy"
	_ "github.com/gokrazy/gokrazy/cmd/randomd"
	_ "github.com/gokrazy/kernel.rpi"
	_ "github.com/gokrazy/rpi-eeprom"
	_ "github.com/pushcam/pushcam/cmd/pushcam"
	_ "github.com/pushcam/pushcam/gokrazy/kernel"
	_ "github.com/pushcam/pushcam/gokrazy/network"
)
