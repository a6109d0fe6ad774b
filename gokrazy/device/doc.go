// Package device is what the appliance does to its own system: it runs as a
// program of gokrazy, which keeps the system to itself otherwise.
package device

import "path/filepath"

// below is a path in the system whose root folder is root; empty means "/".
func below(root string, elem ...string) string {
	if root == "" {
		root = "/"
	}
	return filepath.Join(append([]string{root}, elem...)...)
}
