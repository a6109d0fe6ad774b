package main

import (
	"flag"
	"fmt"
)

// origin is where a setting comes from, the strongest first. What is set nowhere has
// the default of its flag.
type origin string

const (
	byFlag        origin = "flag"
	byEnvironment origin = "environment"
	byCard        origin = "card"     // its file pushcam.txt, which a PC can write
	bySettings    origin = "settings" // what the owner has changed on the page
)

// called is how a person says where a setting comes from.
func (o origin) called() string {
	switch o {
	case byEnvironment:
		return "the program's environment"
	case byCard:
		return "pushcam.txt on the card"
	case bySettings:
		return "the page"
	}
	return "a flag of the program"
}

// given is a setting that does not have its default.
type given struct {
	Value string `json:"value"`
	By    origin `json:"by"`
}

// layer is a place where a setting may come from if the command line does not have it.
// lookup returns a flag's value, "" if it has none, and what the setting is called
// there.
type layer struct {
	by     origin
	lookup func(flag string) (value, called string)
}

// fill sets each flag that the command line did not from the first layer that has a
// value for it, and tells where each comes from.
func fill(fs *flag.FlagSet, layers []layer) (map[string]given, error) {
	all := make(map[string]given)
	fs.Visit(func(f *flag.Flag) { all[f.Name] = given{f.Value.String(), byFlag} })
	var failed error
	fs.VisitAll(func(f *flag.Flag) {
		for _, l := range layers {
			value, called := l.lookup(f.Name)
			if _, ok := all[f.Name]; ok || value == "" || failed != nil {
				continue
			}
			if err := fs.Set(f.Name, value); err != nil {
				failed = fmt.Errorf("%s is %q: %w", called, value, err)
			}
			all[f.Name] = given{f.Value.String(), l.by}
		}
	})
	return all, failed
}
