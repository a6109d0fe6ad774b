package main

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/setup"
)

// notOnCard are the flags that the card's file cannot set, and why.
var notOnCard = map[string]string{
	"listen":     "the appliance serves at port 80",
	"listen-tls": "the appliance serves at port 443, by which pushcamctl reaches it",
	"state-dir":  "the appliance keeps what is changed on the card's last partition",
	"version":    "the program would print it and end",

	"owner-password": "here it is called password",
}

// cardControls are controls of cameras that the card's file may set by their names
// alone, as rotate=180. Others are given as control=name=value.
var cardControls = []string{"rotate", "hflip", "vflip", "exposure", "iso", "white-balance", "power-line", "brightness", "contrast", "saturation", "sharpness"}

// cardFlags are those of the card's flags that try accepts, and what is wrong with the
// others: a bad value on the card never keeps the program from starting. It sets flags of
// known.
func cardFlags(card setup.Setup, known *flag.FlagSet, try func(map[string]string) error) (map[string]string, []setup.Problem) {
	var problems []setup.Problem
	problem := func(name, format string, args ...any) {
		at := card.Places[name]
		problems = append(problems, setup.Problem{File: at.File, Line: at.Line, Text: fmt.Sprintf(format, args...)})
	}
	flags := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(card.Flags)) {
		value := card.Flags[name]
		switch f := known.Lookup(name); {
		case notOnCard[name] != "":
			problem(name, "%s cannot be set here: %s.", name, notOnCard[name])
		case name == "control", f == nil && slices.Contains(cardControls, name):
			if name != "control" {
				value = name + "=" + value
			}
			for part := range strings.SplitSeq(value, ",") {
				if err := new(v4l2.Controls).Set(part); err != nil {
					problem(name, "%v.", err)
				} else if flags["control"] != "" {
					flags["control"] += "," + part
				} else {
					flags["control"] = part
				}
			}
		case name == "viewing" && value != "open" && value != "closed":
			problem(name, "viewing is open or closed, not %.40q; it is closed until you mend this.", value)
			flags[name] = "closed" // who wrote something there does not want that everybody looks
		case f == nil:
			problem(name, "There is no setting %.40q%s.", name, nearest(name))
		default:
			if isBool, ok := f.Value.(interface{ IsBoolFlag() bool }); ok && isBool.IsBoolFlag() {
				value = truth(value)
			}
			if f.Value.Set(value) != nil {
				problem(name, "%s cannot be %.40q; its default is %q.", name, value, f.DefValue)
				continue
			}
			flags[name] = value
		}
	}
	defer func() {
		slices.SortStableFunc(problems, func(a, b setup.Problem) int { return a.Line - b.Line })
	}()
	if try(flags) == nil {
		return flags, problems
	}
	// Some do not go together, or a value is out of its bounds.
	good := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		good[name] = flags[name]
		if err := try(good); err != nil {
			delete(good, name)
			problem(name, "%s.", strings.TrimPrefix(err.Error(), "-"))
		}
	}
	return good, problems
}

// truth takes what people write for true and false.
func truth(text string) string {
	switch strings.ToLower(text) {
	case "on", "yes":
		return "true"
	case "off", "no":
		return "false"
	}
	return text
}

// nearest suggests a setting that somebody may have meant.
func nearest(name string) string {
	names := append([]string{"hostname", "password", "wifi-ssid", "wifi-password", "wifi-country"}, cardControls...)
	for _, g := range groups {
		names = append(names, g.flags...)
	}
	best, least := "", 5 // in half letters; the first letter is seldom wrong
	for _, n := range names {
		d := 2 * distance(name, n)
		if !strings.HasPrefix(name, n[:1]) {
			d++
		}
		if d < least && d < 2*len(n) && notOnCard[n] == "" {
			best, least = n, d
		}
	}
	if best == "" {
		return "; a control of the camera is given as control=name=value"
	}
	return "; " + best + " may be meant"
}

// distance is how many letters two words differ by (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
