package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/image"
)

func (p *program) image(fs *flag.FlagSet) func(context.Context, []string) error {
	var (
		size    = byteSize(image.DefaultSize)
		output  = fs.String("o", "pushcam.img", "the `file` to write; one that ends in .gaf is for updates over the network, and has no password")
		host    = fs.String("hostname", "pushcam", "the camera's `name` on the network")
		given   = fs.String("password", "", "the owner's `password`; - reads a line from the standard input, which other users of\nthis computer cannot see; without it the one that is kept for this name, or a new one")
		kernel  = fs.String("kernel", string(image.PushcamKernel), "the `kernel`: pushcam, with the Pi camera's driver, or stock, gokrazy's, for USB webcams\nonly and for a Pi 5")
		generic = fs.Bool("generic", false, "make an image for everybody, as a release has it: without a password, which the camera's\npage asks for at first sight")
		ssid    = fs.String("wifi-ssid", "", "the `name` of the wireless network; its password is asked for, or a line of the standard\ninput. Only the key that is made of it is in the image. Other networks can be written\ninto pushcam.txt on the card")
		country = fs.String("wifi-country", "", "the `country`, as DE or US, by whose rules the radio sends")
		verbose = fs.Bool("v", false, "show what the compiler and gok print")
	)
	radio := wifiFlags(fs)
	fs.Var(&size, "size", "the image's `size`, for instance 2GiB, or 2GB of 1,000,000,000 bytes each; the card may be\nlarger")
	return func(ctx context.Context, _ []string) error {
		if *output == "" {
			return p.misused(errors.New("-o needs a file"), "pushcamctl image -h")
		}
		checkout, err := image.FindCheckout(".")
		if err != nil {
			return err
		}
		b := &image.Builder{Checkout: checkout, Hostname: *host, Kernel: image.Kernel(*kernel), Size: int64(size), Step: func(what string) { fmt.Fprintln(p.stderr, what) }}
		radio(b)
		if *verbose {
			b.Output = p.stderr
		}
		if err := b.Check(); err != nil {
			return p.misused(err, "pushcamctl image -h")
		}
		gaf := strings.HasSuffix(*output, ".gaf")
		if (gaf || *generic) && (*ssid != "" || *country != "") {
			return p.misused(errors.New("an image for everybody and one for updates have no wireless network in them"), "pushcamctl image -h")
		}
		if gaf || !*generic {
			if b.Sign, err = p.signer(ctx); err != nil {
				return err
			}
		}
		if gaf {
			img, err := b.BuildArchive(ctx, *output)
			if err != nil {
				return err
			}
			p.reportImage(img)
			fmt.Fprintf(p.stdout, "  signed by this computer, %s\n", img.UpdateKey.Fingerprint())
			fmt.Fprintf(p.stdout, "Next: %s\n", p.command("update", "-image", img.Path, img.Hostname))
			return nil
		}
		if *generic {
			if *given != "" {
				return p.misused(errors.New("-generic makes an image without a password, so -password goes with the others only"), "pushcamctl image -h")
			}
			img, err := b.Build(ctx, *output)
			if err != nil {
				return err
			}
			p.reportImage(img)
			fmt.Fprintf(p.stdout, "  it has no owner: who opens the camera's page first chooses the password\n")
			fmt.Fprintf(p.stdout, "  the camera takes updates from the computer that updates it first\n")
			return p.reportCard(img)
		}
		if *given == "-" {
			if *given, err = readLine(p.stdin); err != nil {
				return fmt.Errorf("read the password: %w", err)
			}
		}
		keeper := passwords{dir: p.configDir}
		password, origin, err := keeper.choose(*host, *given)
		if err != nil {
			return err
		}
		b.Password = password
		if b.Settings, err = p.wifi(ctx, *ssid, *country); err != nil {
			return err
		}
		img, err := b.Build(ctx, *output)
		if err != nil {
			return err
		}
		// The password is kept only now: if the build had failed, the camera's card
		// would still have the old one.
		file, err := keeper.keep(img.Hostname, img.ID, password)
		err = errors.Join(err, knownCameras{p.configDir}.add(img.Key.Fingerprint(), img.ID, img.Hostname))
		p.report(img, origin, password, file)
		return errors.Join(err, p.reportCard(img))
	}
}

// wifiFlags are those of what is for Wi-Fi in an image. The result sets them, and says
// whether any is given.
func wifiFlags(fs *flag.FlagSet) func(*image.Builder) (given bool) {
	without := fs.Bool("no-wifi", false, "make an image without Wi-Fi: without the supplicant, firmware and regulatory database")
	folder := fs.String("wifi-firmware", "", "a `folder` with firmware for Wi-Fi: where there is no Debian that has it, and for boards for\nwhich Debian has none, see the README")
	return func(b *image.Builder) bool {
		b.NoWiFi, b.WiFiFirmware = *without, *folder
		return *without || *folder != ""
	}
}

// report says what was made. It is the one place that shows a new password. file is
// where it is kept, if it is.
func (p *program) report(img *image.Image, origin passwordOrigin, password, file string) {
	p.reportImage(img)
	if origin == newPassword {
		fmt.Fprintf(p.stdout, "  owner's password: %s\n", password)
	}
	if file != "" {
		fmt.Fprintf(p.stdout, "  the owner's password is kept in %s\n", file)
	}
	fmt.Fprintf(p.stdout, "  the camera's key, by which this computer knows it: %s\n", img.Key.Fingerprint())
	fmt.Fprintf(p.stdout, "  the camera takes updates from this computer, by the key %s\n", img.UpdateKey.Fingerprint())
}

// reportCard says what to know of an image for a card, and what to do next. Beside that it
// writes the file with which Raspberry Pi Imager can be used as well.
func (p *program) reportCard(img *image.Image) error {
	fmt.Fprintf(p.stdout, "  without a network the camera opens its own, %s; its password is %s\n",
		device.SetupNetwork(img.ID), cmp.Or(img.SetupCode, device.FixedSetupCode))
	manifest := image.ManifestPath(img.Path)
	if err := img.WriteManifest(manifest, nil); err != nil {
		return fmt.Errorf("the image is made, and its file for Raspberry Pi Imager is not: %w", err)
	}
	fmt.Fprintf(p.stdout, "  %s: with this Raspberry Pi Imager writes the image too, and asks for Wi-Fi\n", manifest)
	fmt.Fprintf(p.stdout, "Next, with a card in this computer: %s\n", p.asRoot("flash", "-image", img.Path, "DEVICE"))
	return nil
}

func (p *program) reportImage(img *image.Image) {
	fmt.Fprintf(p.stdout, "%s: pushcam %s for http://%s.local/, with the %s kernel\n", img.Path, img.Version, img.Hostname, img.Kernel)
	fmt.Fprintf(p.stdout, "  root file system: %.1f MB, SHA-256 %s\n", float64(img.RootSize)/1e6, img.RootSum)
	if img.WiFi == nil {
		fmt.Fprintln(p.stdout, "  without Wi-Fi")
		return
	}
	var without []string
	for _, m := range img.WiFi.Missing {
		without = append(without, m.Board+" with "+m.Chip)
	}
	if len(without) > 0 {
		fmt.Fprintf(p.stdout, "  without Wi-Fi on a %s: -wifi-firmware adds it, see the README\n", strings.Join(without, ", or a "))
	}
}

// maxLine bounds a line from the standard input, in bytes.
const maxLine = 4096

// readLine reads a line and not a byte more: what follows may answer the next
// question. It takes off the end of the line, that of Windows too, and nothing else.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		if line = append(line, b[:n]...); bytes.HasSuffix(line, []byte("\n")) || errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		if len(line) == maxLine {
			return "", fmt.Errorf("a line of more than %d bytes was entered", maxLine)
		}
	}
	text, ended := strings.CutSuffix(string(line), "\n")
	if ended {
		text = strings.TrimSuffix(text, "\r")
	}
	if text == "" {
		return "", errors.New("nothing was entered")
	}
	return text, nil
}
