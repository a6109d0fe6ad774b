package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pushcam/pushcam/gokrazy/network/wpa"
)

// licensesDir has the licences of what is on a card and in no Go module: what they
// are for is in the texts themselves.
const licensesDir = instanceDir + "/licenses"

// licenseName are the names of files with a licence, and noticeName of those that
// belong to one and have to be passed on with it.
var (
	licenseName = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|copyright|unlicense)([-._][a-z0-9._-]*)?$`)
	noticeName  = regexp.MustCompile(`(?i)^(notice|patents)(\.[a-z]+)?$`)
)

// goPackage is what go list tells of a package.
type goPackage struct {
	Dir      string
	Standard bool
	Module   *goModule
}

type goModule struct {
	Path, Version, Dir string
	Main               bool // it is the one of gok's builddir, which is a part of ours
	Replace            *struct{ Version string }
}

// title is how a module is called. One that is replaced by a folder has no version.
func (m *goModule) title() string {
	if m.Replace != nil {
		return strings.TrimSpace(m.Path + " " + m.Replace.Version)
	}
	return strings.TrimSpace(m.Path + " " + m.Version)
}

// licenses is the text with all licences of what is on a card: of every Go module in
// its programs, the kernel and the firmware among them, and of the rest. It is the
// same for all builds of a commit.
func (b *Builder) licenses(ctx context.Context, inst *instance) (string, error) {
	packages, err := inst.goPackages(b.kernel())
	if err != nil {
		return "", err
	}
	var all []goPackage
	for _, cgo := range []string{"0", "1"} { // some are in programs with C only, or without
		// As gok does, which adds to go.mod what an owner has added to config.json.
		listed, err := b.listPackages(ctx, filepath.Join(b.Checkout, instanceDir, "builddir"),
			[]string{"GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=" + cgo}, append([]string{"-mod=mod", "-tags=gokrazy,netgo,osusergo"}, packages...)...)
		if err != nil {
			return "", err
		}
		all = append(all, listed...)
	}
	texts, err := moduleTexts(all)
	if err != nil {
		return "", err
	}
	folders := []string{licensesDir}
	if b.hasWiFi() {
		folders = append(folders, wpa.Dir+"/licenses")
	}
	for _, dir := range folders {
		others, err := filepath.Glob(filepath.Join(b.Checkout, dir, "*.txt"))
		if err != nil {
			return "", err
		}
		if len(others) == 0 || len(texts) == 0 {
			return "", fmt.Errorf("there are no licences in %s, or of no Go module: the image must have them", filepath.Join(b.Checkout, dir))
		}
		for _, f := range others {
			if texts[strings.TrimSuffix(filepath.Base(f), ".txt")], err = readTexts([]string{f}); err != nil {
				return "", err
			}
		}
	}
	return joinTexts("What is on the card of a pushcam, and the licence of each part:", texts), nil
}

// ToolLicenses is the text with all licences of what is in pushcamctl, on all systems.
func (b *Builder) ToolLicenses(ctx context.Context) (string, error) {
	var all []goPackage
	for _, goos := range []string{"linux", "darwin", "windows"} {
		listed, err := b.listPackages(ctx, b.Checkout, []string{"GOOS=" + goos, "GOARCH=arm64", "CGO_ENABLED=0"}, "./cmd/pushcamctl")
		if err != nil {
			return "", err
		}
		all = append(all, listed...)
	}
	texts, err := moduleTexts(all)
	if err != nil {
		return "", err
	}
	for title, file := range map[string]string{"github.com/pushcam/pushcam": "LICENSE", "Go": licensesDir + "/Go.txt"} {
		if texts[title], err = readTexts([]string{filepath.Join(b.Checkout, file)}); err != nil {
			return "", err
		}
	}
	return joinTexts("What is in pushcamctl, and the licence of each part:", texts), nil
}

// moduleTexts are the licences of the packages' modules, by the modules' titles.
func moduleTexts(packages []goPackage) (texts map[string]string, err error) {
	texts = make(map[string]string)
	for title, files := range licenseFiles(packages) {
		if !slices.ContainsFunc(files, func(f string) bool { return licenseName.MatchString(filepath.Base(f)) }) {
			return nil, fmt.Errorf("the Go module %s has no file with its licence, so what is made of it must not be given to others: take another module or version", title)
		}
		if texts[title], err = readTexts(files); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// joinTexts lists the titles below a heading, and then has each text.
func joinTexts(heading string, texts map[string]string) string {
	var out strings.Builder
	titles := slices.Sorted(maps.Keys(texts))
	fmt.Fprintf(&out, "%s\n\n    %s\n", heading, strings.Join(titles, "\n    "))
	for _, title := range titles {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s", strings.Repeat("=", 80), title, texts[title])
	}
	return out.String()
}

// goPackages are those that gok puts onto the card, with the kernel.
func (i *instance) goPackages(kernel Kernel) ([]string, error) {
	var ours, gokrazys []string
	var firmware, eeprom string
	var internal struct{ InitPkg string }
	for key, value := range map[string]any{"Packages": &ours, "GokrazyPackages": &gokrazys, "FirmwarePackage": &firmware, "EEPROMPackage": &eeprom, "InternalCompatibilityFlags": &internal} {
		if err := json.Unmarshal(i.config[key], value); err != nil {
			return nil, fmt.Errorf("config.json: %s: %w", key, err)
		}
	}
	return slices.Concat(ours, gokrazys, []string{internal.InitPkg, firmware, eeprom, kernelPackages[kernel]}), nil
}

// listPackages asks the go command in a folder, with more of an environment, for packages
// and all that they import.
func (b *Builder) listPackages(ctx context.Context, dir string, env []string, args ...string) ([]goPackage, error) {
	cmd := b.command(ctx, dir, "go", append([]string{"list", "-deps", "-json=Dir,Standard,Module"}, args...)...)
	cmd.Env = slices.Concat(os.Environ(), env, []string{"GOWORK=off", "GOFLAGS="})
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := b.run(ctx, cmd); err != nil {
		return nil, fmt.Errorf("list what the programs are made of: %w", err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(&out); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// licenseFiles are the files that packages have about licences in their folders and
// above them, up to that of their module, by the module's title.
func licenseFiles(packages []goPackage) map[string][]string {
	found := make(map[string][]string)
	looked := make(map[string]bool)
	for _, p := range packages {
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		title := p.Module.title()
		if _, ok := found[title]; !ok {
			found[title] = nil
		}
		for dir := p.Dir; !looked[dir]; dir = filepath.Dir(dir) {
			looked[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				break // then its module has none either, which is said
			}
			for _, e := range entries {
				if name := e.Name(); e.Type().IsRegular() && !strings.HasSuffix(name, ".go") && (licenseName.MatchString(name) || noticeName.MatchString(name)) {
					found[title] = append(found[title], filepath.Join(dir, name))
				}
			}
			if dir == p.Module.Dir {
				break
			}
		}
	}
	for _, files := range found {
		slices.Sort(files)
	}
	return found
}

// readTexts reads files, one below the other. What is not UTF-8 is Latin-1.
func readTexts(files []string) (string, error) {
	var all strings.Builder
	for i, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		if !utf8.Valid(text) {
			runes := make([]rune, len(text))
			for i, b := range text {
				runes[i] = rune(b)
			}
			text = []byte(string(runes))
		}
		if i > 0 {
			fmt.Fprintf(&all, "\n%s\n\n", strings.Repeat("-", 80))
		}
		all.Write(bytes.TrimRight(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), " \n"))
		all.WriteByte('\n')
	}
	return all.String(), nil
}
