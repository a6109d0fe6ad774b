// Docs makes what pictures the README and the page have: the page's icons as PNG, and
// screenshots of the page with a camera that runs. It writes them where they belong.
//
//	go run ./hack/docs icons
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
	if len(args) != 1 || args[0] != "icons" {
		return fmt.Errorf("say what to make: icons")
	}
	for _, size := range []int{192, 512} {
		content, err := icon(size)
		if err != nil {
			return err
		}
		if err := os.WriteFile(fmt.Sprintf("pusher/web/icon-%d.png", size), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
