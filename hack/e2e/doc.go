// Package e2e holds no code but tests: they build the product's card image, with
// either kernel, boot it in QEMU, plug a webcam into it that is not there or put a
// VideoCore in it that is not one, and look at it from outside, as its owner and
// his viewers do.
//
//	go test ./hack/e2e
//
// The kernel, its command line and everything behind it are the image's own; to
// the command line come the machine's serial port, the lines of its GPIO chip,
// and what lets a test crash the kernel. It needs no root. The Debian packages
// are those of the variable packages.
//
// TestUpdate boots by the card's own boot loader, and updates. With -ota-all it tries
// what can go wrong there, with all power cuts, in half an hour:
//
//	go test -timeout 1h -run TestUpdate ./hack/e2e -ota-all
//
// What is missing fails the tests when CI is set, and skips them elsewhere.
// With -artifacts the serial log and a screenshot are kept.
package e2e
