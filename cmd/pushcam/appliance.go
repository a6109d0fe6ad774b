package main

import "os"

// isAppliance says whether this is the gokrazy image, where the program has the
// machine for itself.
func isAppliance() bool {
	_, err := os.Stat("/gokrazy/init")
	return err == nil
}
