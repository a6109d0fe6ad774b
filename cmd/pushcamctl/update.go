package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/partition"
)

// updateFlags are those of update.
type updateFlags struct {
	image, password      string
	kernel, all          bool
	yes, rename, verbose bool
}

func (p *program) update(fs *flag.FlagSet) func(context.Context, []string) error {
	var f updateFlags
	fs.StringVar(&f.image, "image", "", "the `file` to update to, made with pushcamctl image -o pushcam.gaf; without it, this\ncheckout is built")
	fs.BoolVar(&f.kernel, "kernel", false, "update the kernel and the boot files too: needed when the kernel's version changes, and less\nsafe, see the README")
	fs.BoolVar(&f.all, "all", false, "update all pushcams on the network, one after the other, up to the first that fails")
	fs.BoolVar(&f.yes, "yes", false, "do not ask")
	fs.BoolVar(&f.rename, "rename", false, "take an image that was made for another name, and so give the camera that name")
	fs.BoolVar(&f.verbose, "v", false, "show what the compiler and gok print")
	given := passwordFlag(fs)
	return func(ctx context.Context, operands []string) error {
		const help = "pushcamctl update -h"
		switch {
		case f.all == (len(operands) > 0):
			return p.misused(errors.New("which pushcam? Give its name or address, or -all; pushcamctl find lists them"), help)
		case f.all && f.rename:
			return p.misused(errors.New("-rename with -all would give all of them the same name"), help)
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
		cam.port, cam.last = fmt.Sprint(cmp.Or(found.Port, 80)), found.Addresses
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
	if err := p.owner(cam, &f.password); err != nil {
		return err
	}
	up := &updater{cam: cam, out: p.stdout, terminal: isTerminal(p.stdout)}
	before, err := up.begun(ctx)
	if err != nil {
		return err
	}
	if before.Trouble != "" {
		return fmt.Errorf("%s says: updates are not possible: %s", cam, before.Trouble)
	}
	a, err := p.archive(ctx, f, before)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := fits(cam, a, before, f); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: pushcam %s → %s%s\n", cam, visible([]byte(before.Version)), cmp.Or(a.RootInfo.Version, "of no version"), direction(a.RootInfo, before))
	if f.kernel {
		if err := p.confirmKernel(cam, a, before, f.yes); err != nil {
			return err
		}
	}
	return up.run(ctx, a, f.kernel)
}

// archive opens the image, or builds one for the camera's name.
func (p *program) archive(ctx context.Context, f *updateFlags, to *updateStatus) (*partition.Archive, error) {
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
	defer os.RemoveAll(dir) // an open file stays readable
	b := &image.Builder{Checkout: checkout, Hostname: to.Hostname, Kernel: kernelOf(to.Kernel), Step: func(what string) { fmt.Fprintln(p.stderr, what) }}
	if f.verbose {
		b.Output = p.stderr
	}
	path := filepath.Join(dir, "pushcam.gaf")
	if _, err := b.BuildArchive(ctx, path); err != nil {
		return nil, err
	}
	return partition.OpenArchive(path)
}

// kernelOf is the kernel that has a release. An image that is built here keeps it:
// not every board runs on both.
func kernelOf(release string) image.Kernel {
	if strings.HasSuffix(release, "-pushcam") {
		return image.PushcamKernel
	}
	return image.StockKernel
}

// fits says what the camera would refuse anyway, before anything is sent.
func fits(cam *remote, a *partition.Archive, to *updateStatus, f *updateFlags) error {
	root := a.RootInfo
	kernel, would := to.Kernel, "runs"
	if f.kernel {
		kernel, would = a.BootKernel, "would run"
	}
	switch {
	case root.Arch != to.Arch:
		return fmt.Errorf("the image is for %s, and %s is %s", root.Arch, cam, visible([]byte(to.Arch)))
	case a.Root.Size() > to.MaxRoot:
		return fmt.Errorf("the image's root file system of %.1f MB has no room in the %.1f MB that %s has for it", float64(a.Root.Size())/1e6, float64(to.MaxRoot)/1e6, cam)
	case f.kernel && a.Boot.Size() > to.MaxBoot:
		return fmt.Errorf("the image's boot files of %.1f MB have no room in the %.1f MB that %s has for them", float64(a.Boot.Size())/1e6, float64(to.MaxBoot)/1e6, cam)
	case root.Hostname != to.Hostname && !f.rename:
		return fmt.Errorf("the image is made for %s, and this is %s: make one with pushcamctl image -hostname %s, or give the camera the other name with -rename",
			root.Hostname, visible([]byte(to.Hostname)), visible([]byte(to.Hostname)))
	case !slices.Contains(root.Kernels, kernel):
		err := fmt.Errorf("the image has modules for the kernel %s, and %s %s %s", strings.Join(root.Kernels, ", "), cam, would, visible([]byte(kernel)))
		if !f.kernel {
			err = fmt.Errorf("%w: update the kernel too, with -kernel", err)
		}
		return err
	}
	return nil
}

// direction says what the commits' times tell, where the versions may not.
func direction(root *partition.Root, from *updateStatus) string {
	const day = "2006-01-02 15:04"
	switch {
	case root.Version == from.Version:
		return " (the same again)"
	case root.Built.Before(from.Built):
		return fmt.Sprintf(" (back to an older one: of %s, and what runs is of %s)", root.Built.Format(day), from.Built.Format(day))
	}
	return ""
}

// confirmKernel explains the risk and asks.
func (p *program) confirmKernel(cam *remote, a *partition.Archive, from *updateStatus, yes bool) error {
	fmt.Fprintf(p.stdout, "With the kernel %s → %s and the boot files, of which the card has one copy: if the power fails in the seconds\n"+
		"in which they are written, or the new kernel does not start at all, the card has to be taken out and written anew.\n", visible([]byte(from.Kernel)), a.BootKernel)
	if yes {
		return nil
	}
	fmt.Fprintf(p.stdout, "Update the kernel of %s? [y/N] ", cam)
	return p.askYes(fmt.Sprintf("%s was left as it is; -yes updates without asking", cam))
}
