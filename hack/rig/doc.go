//go:build linux

// Command rig runs tests on a real kernel with real devices, in a virtual
// machine: a USB webcam that can be unplugged and GPIO lines that can be pulled
// need neither hardware nor rights on the developer's machine.
//
//	go run ./hack/rig test                          # the camera, GPIO and network tests
//	go run ./hack/rig test -run RigUnplug ./camera/... # go test's flags and packages
//	go run ./hack/rig test -race ./camera/cameratest/usbcam
//	go run ./hack/rig setup                         # make or renew the rig, run nothing
//
// Test runs "go test -p 1 -run ^TestRig -exec": the tests that need the machine
// are called so. Go test's own lines can be used as well,
// with -json, -v, -cover and what else there is:
//
//	go test -exec "go run github.com/pushcam/pushcam/hack/rig exec" ./camera/...
//
// # What a test finds in the machine
//
// The machine is QEMU with software emulation and Debian's own kernel. Its root
// is the host's, read-only, with fresh /dev, /proc, /sys and /run, and a TMPDIR
// and HOME of its own, so that a test binary runs as it is, with its libraries
// and its testdata. On the host it can write only to the folder that the go
// command made for it, which is where coverage goes. The environment is the
// host's and PUSHCAM_RIG=1: a test that needs the rig skips where that is not
// set, and fails where it is set and a device is missing. There is one network
// interface, the loopback.
//
// uvcvideo and vhci-hcd are loaded for [camera/cameratest/usbcam], gpio-sim for
// [gpio/gpiotest], dummy_hcd for [gokrazy/network/gadget]. In /run/modules are those
// that a test loads itself, in the order of later.list there: the radios of
// [gokrazy/network/wifi]. The exit status is the test's. A kernel that warned or oopsed
// during the test makes it fail, and its messages are shown. A test that cannot
// do without a warning announces it first, in /dev/kmsg: "rig: expect a warning
// from FUNCTION".
//
// Timings under emulation swing with the load of the host: the rig is for
// correctness, never for benchmarks.
//
// # Setting up
//
// The first run downloads about 215 MB of Debian packages, builds gpio-sim from
// the kernel's own source and leaves the result, about 60 MB, in
// hack/rig/.cache, which git ignores. What it needs on the machine it names, or
// installs when it may. Runs after that use what is there; "rig setup" looks
// whether Debian has a newer kernel. The folder may be deleted at any time.
//
// # When something is wrong
//
// PUSHCAM_RIG_VERBOSE=1 shows all messages of the kernel. A test binary that
// outlives its own -test.timeout by 30 seconds is made to say where its
// goroutines stand, and the machine is stopped a minute later at the latest.
package main
