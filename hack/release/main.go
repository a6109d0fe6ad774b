//go:build linux

// Command release makes everything that is given to others, from a clean checkout and
// without any owner's data:
//
//	go run ./hack/release                    # into the folder release
//	go run ./hack/release -o DIR -url URL    # into another one, to be served from URL
//	go run ./hack/release -sign-key FILE     # signed by a key as ssh-keygen -t ed25519 makes it
//
// It makes the image for a card and its manifest for Raspberry Pi Imager, the image for
// updates, pushcamctl for all systems, the licences, a bill of materials, and the
// checksums. The same commit gives the same bytes again, with the same versions of Go,
// of xz and of the C compiler, the key, and the CA certificates and the time zone of the
// computer. Beside Go it needs what pushcamctl image needs, and xz.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/update/signed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r := &release{step: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}
	flag.StringVar(&r.dir, "o", "release", "the `folder` to make; it must not be there yet")
	flag.StringVar(&r.url, "url", "", "the `URL` of the folder from which the files will be served: Raspberry Pi Imager reads it\nin the manifest; without it the manifest has the file's name only, which Imager does not find")
	flag.StringVar(&r.firmware, "wifi-firmware", "", "a `folder` with firmware for Wi-Fi, as pushcamctl image has it")
	key := flag.String("sign-key", os.Getenv("PUSHCAM_RELEASE_KEY"), "the private key, a `file` of ssh-keygen's, that signs the image for updates, and by which cameras with\nthis release take updates; without it that of PUSHCAM_RELEASE_KEY. It is never part of the release")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "release: %q is not understood; -h shows what is\n", flag.Arg(0))
		os.Exit(2)
	}
	var err error
	if *key != "" {
		r.key, err = signed.LoadSigner(*key)
	}
	if err == nil {
		r.checkout, err = image.FindCheckout(".")
	}
	if err == nil {
		err = r.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
