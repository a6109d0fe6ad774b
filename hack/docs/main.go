// Docs makes the pictures that the page and the README have: the page's icons as PNG, and
// screenshots of the pages of cameras that run. It writes them where they belong, and is run
// at the top of the checkout.
//
//	go run ./hack/docs icons
//	go run ./hack/docs shots
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "icons":
		return writeIcons("pusher/web")
	case len(args) == 1 && args[0] == "shots":
		return takeShots("hack/docs")
	}
	return fmt.Errorf("say what to make: icons or shots")
}
