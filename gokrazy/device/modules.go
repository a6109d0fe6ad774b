package device

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
)

// ErrNoModule is wrapped by errors that mean that the system's kernel has no such
// module, neither as a file nor built in.
var ErrNoModule = errors.New("no such kernel module")

// Modules loads kernel modules, because gokrazy has no udev and no modprobe. The zero
// value is ready.
type Modules struct {
	// Root is where /lib/modules and /proc are looked for.
	Root Root
	// Parameters are for modules, by name: "max_video_width=2592".
	Parameters map[string]string
	// Keep are those for which Reload is called. Their files are kept in memory, if
	// they are not compressed, so that it does not wait for the card.
	Keep []string
	// Log gets a line per module that was loaded. nil discards.
	Log *slog.Logger

	insert func(module *os.File, parameters string, compress bool) error // nil means the kernel's; fs.ErrExist: it is there
	remove func(name string) error                                       // nil means the kernel's
	put    func(image []byte, parameters string) error                   // nil means the kernel's

	mu   sync.Mutex
	kept map[string][]byte // content of the files of Keep, by name
}

// maxIndex is how much of modules.dep or modules.builtin is read, in bytes.
// Debian's kernel, which has all modules that there are, has 700 kB.
const maxIndex = 4 << 20

// maxModule is how much of a module is kept, in bytes; the largest for a camera has
// 300 kB.
const maxModule = 8 << 20

// Load loads modules by name, each after those it depends on. What is loaded
// already, or built into the kernel, is fine. It goes on after a module that
// fails and returns all errors, joined.
func (m *Modules) Load(names ...string) error {
	release, err := m.Root.KernelRelease()
	if err != nil {
		return fmt.Errorf("load kernel modules: %w", err)
	}
	dir, err := os.OpenRoot(m.Root.Path("lib/modules", release))
	if err != nil {
		return fmt.Errorf("load kernel modules of %s: %w", release, err)
	}
	defer dir.Close()
	known, err := readIndex(dir, "modules.dep", parseDep)
	if err != nil {
		return fmt.Errorf("load kernel modules of %s: %w", release, err)
	}
	builtin, err := readIndex(dir, "modules.builtin", parseBuiltin)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("load kernel modules of %s: %w", release, err)
	}
	var failed []error
	for _, name := range names {
		if err := m.load(dir, known, builtin, moduleName(name)); err != nil {
			failed = append(failed, fmt.Errorf("kernel module %s for %s: %w", name, release, err))
		}
	}
	return errors.Join(failed...)
}

func (m *Modules) load(dir *os.Root, known map[string][]string, builtin map[string]bool, name string) error {
	files, ok := known[name]
	switch {
	case !ok && builtin[name]:
		return nil
	case !ok:
		return ErrNoModule
	}
	for _, file := range files {
		err := m.insertFile(dir, file)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if m.Log != nil {
			m.Log.Info("loaded kernel module", "module", moduleName(file))
		}
	}
	return nil
}

func (m *Modules) insertFile(dir *os.Root, file string) error {
	f, err := dir.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	insert := m.insert
	if insert == nil {
		insert = insertModule
	}
	name, compressed := moduleName(file), path.Ext(file) != ".ko"
	loaded := insert(f, m.parameters(name), compressed)
	if loaded != nil && !errors.Is(loaded, fs.ErrExist) { // an earlier program may have loaded it
		return loaded
	}
	if compressed || !slices.ContainsFunc(m.Keep, func(k string) bool { return moduleName(k) == name }) {
		return loaded
	}
	image, err := io.ReadAll(io.NewSectionReader(f, 0, maxModule))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = make(map[string][]byte)
	}
	m.kept[name] = image
	return loaded
}

// parameters are those of the module with this name.
func (m *Modules) parameters(name string) string {
	for n, p := range m.Parameters {
		if moduleName(n) == name {
			return p
		}
	}
	return ""
}

// Reload takes a module out of the kernel, which refuses while anything uses it, and
// loads it again. It need not be there: an earlier Reload may have failed to load it.
func (m *Modules) Reload(name string) error {
	if err := m.Unload(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.mu.Lock()
	image := m.kept[moduleName(name)]
	m.mu.Unlock()
	if image == nil {
		return m.Load(name)
	}
	put := m.put
	if put == nil {
		put = putModule
	}
	if err := put(image, m.parameters(moduleName(name))); err != nil {
		return fmt.Errorf("kernel module %s: %w", name, err)
	}
	return nil
}

// Unload takes a module out of the kernel, but none of those that it needs. The
// kernel refuses while anything uses it.
func (m *Modules) Unload(name string) error {
	remove := m.remove
	if remove == nil {
		remove = deleteModule
	}
	if err := remove(moduleName(name)); err != nil {
		return fmt.Errorf("kernel module %s: %w", name, err)
	}
	if m.Log != nil {
		m.Log.Info("took out kernel module", "module", moduleName(name))
	}
	return nil
}

func readIndex[T any](dir *os.Root, name string, parse func(io.Reader) (T, error)) (index T, err error) {
	f, err := dir.Open(name)
	if err != nil {
		return index, err
	}
	defer f.Close()
	index, err = parse(io.LimitReader(f, maxIndex))
	if err != nil {
		return index, fmt.Errorf("%s: %w", name, err)
	}
	return index, nil
}

// parseDep reads modules.dep (depmod, modules.dep(5)): a module's file, a colon,
// and the files of all modules that it needs, also indirectly, so that each
// stands before what it needs itself. The result has the files of each module
// in the order in which they are to be loaded, ending with its own.
func parseDep(r io.Reader) (map[string][]string, error) {
	known := make(map[string][]string)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		file, needs, ok := strings.Cut(string(line), ":")
		if !ok {
			return nil, fmt.Errorf("line %d has no colon", n)
		}
		files := append([]string{file}, strings.Fields(needs)...)
		order := make([]string, 0, len(files))
		for i := len(files) - 1; i >= 0; i-- {
			if !fs.ValidPath(files[i]) {
				return nil, fmt.Errorf("line %d: not a file below its folder: %q", n, files[i])
			}
			order = append(order, files[i])
		}
		known[moduleName(file)] = order
	}
	return known, lines.Err()
}

// parseBuiltin reads modules.builtin: the files that built-in modules would have.
func parseBuiltin(r io.Reader) (map[string]bool, error) {
	builtin := make(map[string]bool)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if file := strings.TrimSpace(lines.Text()); file != "" {
			builtin[moduleName(file)] = true
		}
	}
	return builtin, lines.Err()
}

// moduleName is a module's name from its file's: to the kernel, - and _ are the
// same.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}
