// Package commandline says what is wrong with a command line so that a person sees
// what would be right.
package commandline

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"time"
)

// Explain has the flags of a set say what they take when they are given something else,
// where package flag says only "parse error". It is called when all flags are defined.
// Flags of other types than those of package flag go on to speak for themselves.
func Explain(flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		if v, ok := f.Value.(flag.Getter); ok {
			if takes := takes(v.Get()); takes != "" {
				f.Value = value{v, takes}
			}
		}
	})
}

// takes says what a flag with such a value takes; it is empty if that is anything or
// not known.
func takes(v any) string {
	switch v.(type) {
	case bool:
		return "true or false"
	case int, int64:
		return wholeNumber
	case uint, uint64:
		return "a whole number from 0, as 5"
	case float64:
		return "a number, as 30 or 12.5"
	case time.Duration:
		return "a time with its unit, as 500ms, 10s, 2m or 1h30m"
	case *slog.Level:
		return "debug, info, warn or error"
	}
	return ""
}

const wholeNumber = "a whole number, as 5"

// value is a flag's that explains its errors.
type value struct {
	flag.Getter
	takes string
}

func (v value) Set(text string) error {
	err := v.Getter.Set(text)
	if err == nil {
		return nil
	}
	if n, ok := new(big.Int).SetString(text, 10); ok && v.takes == wholeNumber && !n.IsInt64() {
		return errors.New("that is more than there can be")
	}
	return fmt.Errorf("it takes %s", v.takes)
}

// String is called for a zero value too (flag.Value).
func (v value) String() string {
	if v.Getter == nil {
		return ""
	}
	return v.Getter.String()
}

// IsBoolFlag tells package flag that no value need follow.
func (v value) IsBoolFlag() bool {
	b, ok := v.Getter.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}
