//go:build !linux

package device

import "os"

func divertMessages(*os.File) {}
