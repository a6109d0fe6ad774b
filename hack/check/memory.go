package main

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pushcam/pushcam/gokrazy/durable"
)

// memoryRoom is how many bytes tests may want for their files, many times over.
const memoryRoom = 2 << 30

// inMemory is the environment of tests whose files are in dir, which is in memory: many
// have each file be on the disk before they go on, as a camera must, and a disk takes
// 10 ms for that, or 100 if others write too. It is none if there is no room, or if no
// program runs from there, as in some containers. What go builds stays where it is.
func inMemory(dir string) []string {
	if free, err := durable.Free(dir); err != nil || free < memoryRoom {
		return nil
	}
	own, err := os.MkdirTemp(dir, "")
	if err != nil {
		return nil
	}
	defer os.RemoveAll(own)
	program := filepath.Join(own, "program")
	if os.WriteFile(program, []byte("#!/bin/sh\n"), 0o700) != nil || exec.Command(program).Run() != nil {
		return nil
	}
	return []string{"TMPDIR=" + dir, "GOTMPDIR=" + os.TempDir()}
}
