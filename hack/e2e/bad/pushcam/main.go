// Pushcam, as it must not be: an image for tests has it in place of the real
// program, to see that it does not stay. What it does is its image's version.
package main

import (
	"log"
	"os"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/partition"
)

func main() {
	version, err := os.ReadFile(partition.VersionFile)
	if err != nil {
		log.Fatal(err)
	}
	switch what := strings.TrimSpace(string(version)); what {
	case "exits":
		os.Exit(1)
	case "hangs":
		time.Sleep(1<<63 - 1)
	case "panics":
		// As a driver's fault does. (Documentation/admin-guide/sysrq.rst)
		log.Fatal(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	default:
		log.Fatalf("what does %q do?", what)
	}
}
