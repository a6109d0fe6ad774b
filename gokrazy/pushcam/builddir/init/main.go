// Init is process 1 of the appliance: gokrazy's boot, then every program of the
// image, supervised.
//
// It stands for the one that gok would generate, which holds the time of the
// build in its source, so that no two images of one commit would be the same.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gokrazy/gokrazy"
)

// buildTimestamp is how gokrazy tells one build from another. The linker sets
// it (package gokrazy/image).
var buildTimestamp = "unknown"

func main() {
	log.SetFlags(log.LstdFlags | log.Lshortfile)
	fmt.Printf("gokrazy build timestamp %s\n", buildTimestamp)
	if err := gokrazy.Boot(buildTimestamp); err != nil {
		log.Fatal(err) // the kernel panics and starts anew: there is no system
	}
	fmt.Printf("model %q\n", gokrazy.Model())
	services, err := programs("/user", "/gokrazy")
	if err != nil {
		log.Fatal(err)
	}
	if err := gokrazy.SuperviseServices(services); err != nil {
		log.Fatal(err)
	}
	select {}
}

// programs are the files in the folders, in their order, but for this one.
func programs(dirs ...string) ([]*gokrazy.Service, error) {
	var services []*gokrazy.Service
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			path := filepath.Join(dir, f.Name())
			if path == "/gokrazy/init" {
				continue
			}
			cmd := exec.Command(path)
			cmd.Env = os.Environ() // gokrazy adds HOME to it
			services = append(services, gokrazy.NewService(cmd))
		}
	}
	return services, nil
}
