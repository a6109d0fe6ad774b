// Package confine has the kernel take from a program what it has no need of, so that a fault
// of it that a stranger finds is worth less.
package confine

// Rights are what a program keeps.
type Rights struct {
	// Folders are those in which it may write, make and remove files.
	Folders []string
	// Files are those that it may write to and not remove: devices, and the kernel's
	// attributes. A folder stands for all that is in it, now and later.
	Files []string
	// Connects tells whether it may connect to other computers by TCP.
	Connects bool
}
