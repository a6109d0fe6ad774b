// Package e2e has only tests. They build the product's card image, with either kernel,
// boot it in QEMU with a simulated webcam or a simulated Pi camera, and look at it from
// outside, as its owner and its viewers do.
//
//	go test ./hack/e2e
//
// The kernel, its command line and everything that it starts are the image's own. Only
// the machine's serial port, the lines of its GPIO chip, and what lets a test crash the
// kernel are added to the command line. The tests need no root. The Debian packages
// that they need are in the variable packages.
//
// TestWiFi has the machine join a wireless network, and its owner another one on the page,
// with the kernel's simulated radios (hack/hwsim), of which all but one, and the machine's
// Ethernet, belong to the networks' router: a program for this test (router), in a network
// namespace of the machine itself. It takes minutes, and is run by hand:
//
//	go test -timeout 1h -run TestWiFi$ ./hack/e2e -wifi
//
// TestUpdate boots by the card's own boot loader, and updates. With -ota-all it also
// tries everything that can go wrong in an update, with all power cuts, and updates from
// the owner's page, with the kernel and without a picture too, which takes half an hour:
//
//	go test -timeout 1h -run TestUpdate ./hack/e2e -ota-all
//
// TestCard has the card hang for 40 s. With -card-hang 10m it does so for ten minutes,
// and asks for times that only a machine without other work has: no gap of a second in
// a stream, and 300 ms from the press of the button to privacy.
//
// The tests run beside each other, because their machines wait most of the time.
//
// What is missing fails the tests when CI is set, and skips them elsewhere.
// With -artifacts the serial log and a screenshot are kept.
package e2e
