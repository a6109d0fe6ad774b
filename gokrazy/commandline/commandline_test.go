package commandline

import (
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

func testFlags() *flag.FlagSet {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Bool("bool", false, "")
	fs.Int("int", 1, "")
	fs.Int64("int64", 1, "")
	fs.Uint("uint", 1, "")
	fs.Uint64("uint64", 1, "")
	fs.Float64("float", 1, "")
	fs.Duration("duration", time.Second, "")
	fs.String("string", "", "")
	fs.TextVar(new(slog.Level), "level", slog.LevelInfo, "")
	fs.TextVar(new(netip.Addr), "addr", netip.Addr{}, "")
	return fs
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"-bool=maybe", `invalid boolean value "maybe" for -bool: it takes true or false`},
		{"-int=x", `invalid value "x" for flag -int: it takes a whole number, as 5`},
		{"-int=1.5", `invalid value "1.5" for flag -int: it takes a whole number, as 5`},
		{"-int=99999999999999999999", `invalid value "99999999999999999999" for flag -int: that is more than there can be`},
		{"-int64=", `invalid value "" for flag -int64: it takes a whole number, as 5`},
		{"-uint=-1", `invalid value "-1" for flag -uint: it takes a whole number from 0, as 5`},
		{"-uint64=x", `invalid value "x" for flag -uint64: it takes a whole number from 0, as 5`},
		{"-float=fast", `invalid value "fast" for flag -float: it takes a number, as 30 or 12.5`},
		{"-duration=10", `invalid value "10" for flag -duration: it takes a time with its unit, as 500ms, 10s, 2m or 1h30m`},
		{"-level=loud", `invalid value "loud" for flag -level: it takes debug, info, warn or error`},
		{"-addr=x", `invalid value "x" for flag -addr: ParseAddr("x"): unable to parse IP`}, // speaks for itself
	} {
		fs := testFlags()
		Explain(fs)
		if err := fs.Parse([]string{tt.arg}); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.arg, err, tt.want)
		}
	}
}

// What is right is taken as before, and -h shows the same.
func TestExplainTakes(t *testing.T) {
	fs := testFlags()
	Explain(fs)
	if err := fs.Parse([]string{"-bool", "-int", "7", "-float", "1.5", "-duration", "2s", "-level", "warn", "-string", "x", "rest"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bool": "true", "int": "7", "float": "1.5", "duration": "2s", "level": "WARN", "string": "x"} {
		if got := fs.Lookup(name).Value.String(); got != want {
			t.Errorf("-%s is %q, want %q", name, got, want)
		}
	}
	fs.VisitAll(func(f *flag.Flag) {
		if got, want := f.DefValue, testFlags().Lookup(f.Name).DefValue; got != want {
			t.Errorf("the default of -%s is %q, want %q", f.Name, got, want)
		}
	})
	if name, _ := flag.UnquoteUsage(fs.Lookup("bool")); name != "" {
		t.Errorf("-bool seems to take %q", name)
	}
	fs.PrintDefaults() // asks zero values for their text
}
