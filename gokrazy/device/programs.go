package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// ConfigFile is where the image has the configuration that it was built with: an
// init of our own is not told by gok what is in it about programs.
const ConfigFile = "/etc/pushcam-config.json"

// LicensesFile is where the image has the licences of all that is on its card.
const LicensesFile = "/etc/pushcam-licenses.txt"

// A Program is how one of the image's programs is started. The names are those of
// gokrazy's configuration (https://gokrazy.org/userguide/instance-config).
type Program struct {
	CommandLineFlags []string
	Environment      []string // as NAME=value
	DontStart        bool
	WaitForClock     bool
}

// Programs reads what ConfigFile says of the programs that it says something of, by
// the names of their files. An image without such a file has none.
func Programs(root Root) (map[string]Program, error) {
	text, err := os.ReadFile(root.Path(ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var config struct {
		PackageConfig map[string]struct {
			Basename string
			Program
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	programs := make(map[string]Program)
	for name, p := range config.PackageConfig {
		if p.Basename != "" {
			name = p.Basename
		}
		programs[path.Base(name)] = p.Program
	}
	return programs, nil
}
