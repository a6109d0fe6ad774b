//go:build linux

package main

import "testing"

func TestUnannounced(t *testing.T) {
	const (
		announced = "<12>[   45.1] rig: expect a warning from remove_proc_entry\n"
		other     = "<12>[   45.1] rig: expect a warning from free_irq\n"
		warning   = "<4>[   45.8] WARNING: CPU: 1 PID: 95 at fs/proc/generic.c:740 remove_proc_entry+0x19f/0x1b0\n" +
			"<4>[   45.9]  remove_proc_entry+0x19f/0x1b0\n"
		inModule = "<4>[   45.8] WARNING: CPU: 0 PID: 7 at drivers/x.c:1 uvc_go+0x1/0x2 [uvcvideo]\n"
		lockdep  = "<4>[   45.8] WARNING: possible circular locking dependency detected\n"
	)
	tests := []struct {
		name string
		log  string
		want bool
	}{
		{"announced", announced + warning, false},
		{"announced twice", announced + warning + announced + warning, false},
		{"not announced", "<6>[    3.0] hello\n" + warning, true},
		{"more than announced", announced + warning + warning, true},
		{"announced too late", warning + announced, true},
		{"another one announced", other + warning, true},
		{"one announced, one not", announced + warning + inModule, true},
		{"in a module", "<12>[ 1.0] rig: expect a warning from uvc_go\n" + inModule, false},
		{"without a function", announced + lockdep, true},
		{"no longer in the log", announced, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := unannounced(tc.log); got != tc.want {
				t.Errorf("unannounced: %v, want %v", got, tc.want)
			}
		})
	}
}
