package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/partition"
	"github.com/pushcam/pushcam/gokrazy/update"
)

// updateFlags are those of update.
type updateFlags struct {
	image, password string
	kernel, all     bool
	yes, verbose    bool
	trust           *trustFlags
	wifi            func(*image.Builder) (given bool) // sets its fields for Wi-Fi
}

func (p *program) update(fs *flag.FlagSet) func(context.Context, []string) error {
	var f updateFlags
	fs.StringVar(&f.image, "image", "", "the `file` to update to, made with pushcamctl image -o pushcam.gaf; without it, this\ncheckout is built")
	fs.BoolVar(&f.kernel, "kernel", false, "update the kernel and the boot files too: needed when the kernel's version changes, and less\nsafe, see the README")
	fs.BoolVar(&f.all, "all", false, "update all pushcams on the network, one after the other, up to the first that fails")
	fs.BoolVar(&f.yes, "yes", false, "do not ask")
	fs.BoolVar(&f.verbose, "v", false, "show what the compiler and gok print")
	f.wifi = wifiFlags(fs)
	given := passwordFlag(fs)
	f.trust = newTrustFlags(fs)
	return func(ctx context.Context, operands []string) error {
		const help = "pushcamctl update -h"
		if f.all == (len(operands) > 0) {
			return p.misused(errors.New("which pushcam? Give its name or address, or -all; pushcamctl find lists them"), help)
		}
		if f.all && f.trust.key != "" {
			return p.misused(errors.New("-key is that of one camera, so it does not go with -all"), help)
		}
		if f.image != "" && f.wifi(new(image.Builder)) {
			return p.misused(errors.New("-no-wifi and -wifi-firmware are for an image that is made now, not for the one of -image"), help)
		}
		f.password = *given
		if f.all {
			return p.updateAll(ctx, f)
		}
		cam, err := parseRemote(operands[0])
		if err != nil {
			return p.misused(err, help)
		}
		return p.updateOne(ctx, cam, &f)
	}
}

func (p *program) updateAll(ctx context.Context, f updateFlags) error {
	browsing, cancel := context.WithTimeout(ctx, browseTimeout)
	defer cancel()
	there, err := p.browse(browsing)
	if err != nil {
		return fmt.Errorf("cannot look for pushcams: %w", err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	there = slices.DeleteFunc(there, func(found discovery.Found) bool { return len(found.Addresses) == 0 })
	if len(there) == 0 {
		return errors.New("no pushcam has answered; pushcamctl find says what can be the reason")
	}
	for i, found := range there {
		cam, err := parseRemote(strings.TrimSuffix(found.Host, ".local"))
		if err != nil {
			return err
		}
		cam.pagePort, cam.id, cam.last = fmt.Sprint(cmp.Or(found.Port, 80)), found.ID, found.Addresses
		if err := p.updateOne(ctx, cam, &f); err != nil {
			if left := len(there) - i - 1; left > 0 {
				err = fmt.Errorf("%w; %d others are left as they are", err, left)
			}
			return err
		}
	}
	return nil
}

func (p *program) updateOne(ctx context.Context, cam *remote, f *updateFlags) error {
	if err := p.owner(cam, &f.password, f.trust); err != nil {
		return err
	}
	up := &uploader{Client: update.Client{Conn: cam}, out: p.stdout, terminal: isTerminal(p.stdout)}
	up.Sent, up.BrokeOff = up.sent, up.brokeOff
	before, err := up.Status(ctx)
	if err != nil {
		return untouched(cam, err)
	}
	if before.Trouble != "" {
		return fmt.Errorf("%s says: updates are not possible: %s; write its card anew, with pushcamctl image and pushcamctl flash", cam, discovery.Printable(before.Trouble))
	}
	if f.image == "" {
		if err := p.hintUnknown(ctx, cam, before); err != nil {
			return err
		}
	}
	a, err := p.archive(ctx, f, before)
	if err != nil {
		return untouched(cam, err)
	}
	defer a.Close()
	if err := fits(cam, a, before, f); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: pushcam %s → %s%s\n", cam, discovery.Printable(before.Version), cmp.Or(a.RootInfo.Version, "of no version"), direction(a.RootInfo, before))
	if err := p.confirmWiFi(cam, a, before, f.yes); err != nil {
		return err
	}
	if f.kernel {
		if err := p.confirmKernel(cam, a, before, f.yes); err != nil {
			return err
		}
	}
	signature, err := p.signature(ctx, cam, a, before)
	if err != nil {
		return untouched(cam, err)
	}
	return p.send(ctx, up, a, signature, f)
}

// untouched is the error of an update that has changed nothing yet: the user may have
// stopped it.
func untouched(cam fmt.Stringer, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped: %s was left as it is", cam)
	}
	return err
}

// send uploads the archive with its signature, which may be nil, has the camera try it, and waits for the outcome. The
// kernel goes first: if there is no room for it, that is known before the larger part
// is sent.
func (p *program) send(ctx context.Context, up *uploader, a *partition.Archive, signature []byte, f *updateFlags) (err error) {
	began, cam := time.Now(), up.Conn
	var root, boot string
	if signature != nil {
		err = up.Announce(ctx, signature)
	}
	if err == nil && f.kernel {
		boot, err = up.upload(ctx, update.Boot, "kernel  ", a.Boot)
	}
	if err == nil {
		root, err = up.upload(ctx, update.Root, "sending ", a.Root)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, update.ErrPassword), errors.Is(err, update.ErrRefused):
		return untouched(cam, err)
	case err != nil:
		return fmt.Errorf("%w; %s runs what it ran before: look at its cable or its Wi-Fi, and give the same command again", err, cam)
	}
	record, err := up.Try(ctx, root, boot, false)
	if errors.Is(err, update.ErrNoPicture) {
		if err := p.confirmBlind(err, cam, f.yes); err != nil {
			return err
		}
		record, err = up.Try(ctx, root, boot, true)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped: %s may have begun to restart into it already, and then decides by itself whether it stays: %s", cam, outcome)
	case err != nil:
		return err
	}
	if record.Camera {
		fmt.Fprintf(p.stdout, "%s restarts into it; it stays only if the camera gives a picture again\n", cam)
	} else {
		fmt.Fprintf(p.stdout, "%s restarts into it; it stays even if the camera gives no picture\n", cam)
	}
	to := cmp.Or(discovery.Printable(record.To), "it")
	after, err := up.Await(ctx, record, func() { fmt.Fprintf(p.stdout, "%s runs %s on trial\n", cam, to) })
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("stopped, but the trial goes on: in some minutes %s has decided by itself whether %s stays; leave its power on; %s", cam, to, outcome)
	case err != nil:
		return fmt.Errorf("%w; %s", err, outcome)
	}
	if after.Last.Outcome == update.Committed {
		fmt.Fprintf(p.stdout, "%s: %s runs %s, %v after the beginning\n", update.Committed, cam, to, time.Since(began).Round(time.Second))
		return nil
	}
	if after.Log != "" {
		fmt.Fprintf(p.stdout, "what %s logged last on its trial:\n", to)
		for line := range strings.Lines(after.Log) {
			fmt.Fprintf(p.stdout, "  %s\n", discovery.Printable(strings.TrimSuffix(line, "\n")))
		}
	}
	return fmt.Errorf("%s: %s runs %s again, because %s. %s", discovery.Printable(string(after.Last.Outcome)), cam, discovery.Printable(after.Version),
		discovery.Printable(after.Last.Why), advice(after.Last, cam))
}

// outcome says where it is to be seen what became of an update.
const outcome = "pushcamctl find shows which version runs and what became of the update"

// advice is what the owner can do after an update was rolled back.
func advice(r *update.Record, cam fmt.Stringer) string {
	const again = "give the same command again"
	do := "If that may have been a matter of the moment, as a cut of the power, " + again
	if strings.Contains(r.Why, update.PictureGone) {
		do = "See whether its page shows a picture now, and whether the camera's cable is seated, then " + again
	}
	return fmt.Sprintf("It works as before. %s; if it goes back each time, that version does not suit it: tell us, in an issue, what is said here and what %s shows",
		do, image.Quote("pushcamctl", "logs", "-follow=false", cam.String()))
}

// confirmBlind asks whether to update although the trial cannot tell whether the
// camera works with it.
func (p *program) confirmBlind(why error, cam fmt.Stringer, yes bool) error {
	fmt.Fprintf(p.stdout, "%v\n", why)
	if yes {
		return nil
	}
	fmt.Fprintf(p.stdout, "Update %s without that? [y/N] ", cam)
	return p.askYes(fmt.Sprintf("%s was left as it is; -yes updates without asking", cam))
}

// uploader shows how far an upload is.
type uploader struct {
	update.Client
	out      io.Writer
	terminal bool
	bar      progress
}

func (u *uploader) upload(ctx context.Context, part update.Part, verb string, content *io.SectionReader) (digest string, err error) {
	u.bar = progress{out: u.out, terminal: u.terminal, verb: verb}
	defer u.bar.end()
	return u.Upload(ctx, part, content)
}

func (u *uploader) sent(done, total int64, elapsed time.Duration) {
	u.bar.show(image.Progress{Done: done, Total: total, Elapsed: elapsed})
}

func (u *uploader) brokeOff(why error, pause time.Duration) {
	u.bar.end()
	u.bar.tenth = 0
	fmt.Fprintf(u.out, "the upload broke off: %v; again in %v\n", why, pause)
}

// archive opens the image, or builds one for the camera's name.
func (p *program) archive(ctx context.Context, f *updateFlags, to *update.Status) (*partition.Archive, error) {
	if f.image != "" {
		return partition.OpenArchive(f.image)
	}
	checkout, err := image.FindCheckout(".")
	if err != nil {
		return nil, fmt.Errorf("%w; or give an image with -image", err)
	}
	dir, err := os.MkdirTemp("", "pushcam-update-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // the archive stays open, and so readable
	b := &image.Builder{Checkout: checkout, Hostname: to.Hostname, Kernel: kernelOf(to.Kernel), Step: func(what string) { fmt.Fprintln(p.stderr, what) }}
	f.wifi(b)
	if f.verbose {
		b.Output = p.stderr
	}
	if b.Sign, err = p.signer(ctx); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "pushcam.gaf")
	if _, err := b.BuildArchive(ctx, path); err != nil {
		return nil, err
	}
	return partition.OpenArchive(path)
}

// kernelOf is the kernel that a release belongs to. What is built here is built for
// the kernel that the camera has, because not every board runs on both.
func kernelOf(release string) image.Kernel {
	if strings.HasSuffix(release, "-pushcam") {
		return image.PushcamKernel
	}
	return image.StockKernel
}

// fits returns an error if the camera would refuse the archive, before anything is
// sent.
func fits(cam *remote, a *partition.Archive, to *update.Status, f *updateFlags) error {
	root := a.RootInfo
	kernel, would := to.Kernel, "runs"
	if f.kernel {
		kernel, would = a.BootKernel, "would run"
	}
	switch {
	case root.Arch != to.Arch:
		return fmt.Errorf("the image is for %s, and %s is %s", root.Arch, cam, discovery.Printable(to.Arch))
	case a.Root.Size() > to.MaxRoot:
		return fmt.Errorf("the image's root file system of %.1f MB has no room in the %.1f MB that %s has for it", float64(a.Root.Size())/1e6, float64(to.MaxRoot)/1e6, cam)
	case f.kernel && a.Boot.Size() > to.MaxBoot:
		return fmt.Errorf("the image's boot files of %.1f MB have no room in the %.1f MB that %s has for them", float64(a.Boot.Size())/1e6, float64(to.MaxBoot)/1e6, cam)
	case root.Hostname != to.Hostname && !to.KeepsName:
		name := discovery.Printable(to.Hostname)
		return fmt.Errorf("%s has its name only in the version that it runs, and would be called %s with this image: make one with %s",
			name, root.Hostname, image.Quote("pushcamctl", "image", "-hostname", name, "-o", name+".gaf"))
	case !slices.Contains(root.Kernels, kernel):
		err := fmt.Errorf("the image has modules for the kernel %s, and %s %s %s", strings.Join(root.Kernels, ", "), cam, would, discovery.Printable(kernel))
		if !f.kernel {
			err = fmt.Errorf("%w: update the kernel too, with -kernel", err)
		}
		return err
	}
	return nil
}

// direction warns of an update to what runs already or to something older. Versions
// cannot be ordered, so it compares the times of the commits.
func direction(root *partition.Root, from *update.Status) string {
	const day = "2006-01-02 15:04"
	switch {
	case root.Version == from.Version:
		return " (the same again)"
	case root.Built.Before(from.Built):
		return fmt.Sprintf(" (back to an older one: of %s, and what runs is of %s)", root.Built.Format(day), from.Built.Format(day))
	}
	return ""
}

// confirmWiFi asks whether to update to an image without firmware for the board's radio
// that what runs has: the trial does not notice that the camera has lost its Wi-Fi. The
// camera itself asks only when it has the image.
func (p *program) confirmWiFi(cam *remote, a *partition.Archive, from *update.Status, yes bool) error {
	if len(from.Chips) == 0 {
		return nil
	}
	lacks, err := firmware.LostBy(a.Root, from.Chips)
	if err != nil {
		return err
	}
	if len(lacks) == 0 {
		return nil
	}
	fmt.Fprintf(p.stdout, "This image has no firmware for the Wi-Fi chip %s, which what %s runs has: its Wi-Fi would not work any more.\n"+
		"To keep it, make the image with -wifi-firmware and the folder that the camera's own image was made with.\n", discovery.Printable(strings.Join(lacks, ", ")), cam)
	if yes {
		return nil
	}
	fmt.Fprintf(p.stdout, "Update %s without that Wi-Fi? [y/N] ", cam)
	return p.askYes(fmt.Sprintf("%s was left as it is; -yes updates without asking", cam))
}

// confirmKernel explains the risk and asks.
func (p *program) confirmKernel(cam *remote, a *partition.Archive, from *update.Status, yes bool) error {
	fmt.Fprintf(p.stdout, "With the kernel %s → %s and the boot files, of which the card has one copy: if the power fails in the seconds\n"+
		"in which they are written, or the new kernel does not start at all, the card has to be taken out and written anew.\n", discovery.Printable(from.Kernel), a.BootKernel)
	if yes {
		return nil
	}
	fmt.Fprintf(p.stdout, "Update the kernel of %s? [y/N] ", cam)
	return p.askYes(fmt.Sprintf("%s was left as it is; -yes updates without asking", cam))
}
