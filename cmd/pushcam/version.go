package main

import (
	"runtime"
	"runtime/debug"
)

// version is what -version and /state say.
type version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

// imageVersion is the version of the image. Its build leaves out what Go knows of the
// commit, so the linker sets it (package gokrazy/image).
var imageVersion string

func programInfo() version {
	v := version{Version: imageVersion, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok && imageVersion == "" {
		v.Version = b.Main.Version
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

func (v version) String() string {
	name := "pushcam " + v.Version
	if v.Commit != "" {
		name += " " + v.Commit
	}
	return name + " (" + v.Go + ", " + v.System + ")"
}
