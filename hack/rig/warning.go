//go:build linux

package main

import "strings"

// announcement is what a test writes to /dev/kmsg before it makes a kernel function warn,
// followed by the function's name.
const announcement = "rig: expect a warning from "

// unannounced tells whether the log of a kernel that has warned has a warning that no
// test announced. Each announcement is for one warning.
func unannounced(log string) bool {
	expected := make(map[string]int)
	seen := false
	for line := range strings.Lines(log) {
		if _, function, ok := strings.Cut(line, announcement); ok {
			expected[strings.TrimSpace(function)]++
			continue
		}
		// WARNING: CPU: 1 PID: 96 at fs/proc/generic.c:740 remove_proc_entry+0x19f/0x1b0
		if _, warning, ok := strings.Cut(line, "WARNING: "); ok {
			seen = true
			where, _, _ := strings.Cut(warning, "+0x")
			function := where[strings.LastIndexByte(where, ' ')+1:]
			if expected[function]--; expected[function] < 0 {
				return true
			}
		}
	}
	return !seen // then later messages have overwritten the warning
}
