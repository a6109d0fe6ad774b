package main

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestProcessors has a program that is busy for a while: Go gets all processors within a
// look, and one alone when it has been calm for long enough.
func TestProcessors(t *testing.T) {
	calm, little, much := 0.05, (quiet+busy)/2, 0.9
	tests := []struct {
		name   string
		shares []float64
		all    []bool // after each
	}{
		{"calm", slices.Repeat([]float64{calm}, calmLooks), []bool{true, true, true, true, false}},
		{"not calm enough", slices.Repeat([]float64{calm, little}, calmLooks), slices.Repeat([]bool{true}, 2*calmLooks)},
		{"a little more, and then much", append(slices.Repeat([]float64{calm}, calmLooks), little, much, calm), []bool{true, true, true, true, false, false, true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var said []bool
			p := &processors{all: true, use: func(all bool) { said = append(said, all) }}
			for i, share := range tt.shares {
				p.look(share)
				if p.all != tt.all[i] {
					t.Errorf("after look %d, at %.0f %%, all is %v", i, 100*share, p.all)
				}
			}
			for i := 1; i < len(said); i++ {
				if said[i] == said[i-1] {
					t.Errorf("the runtime was told twice: %v", said)
				}
			}
		})
	}
}

// TestProcessorsRun looks at a program's time until it ends, and leaves all processors.
func TestProcessorsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var all, spins atomic.Bool
		all.Store(true)
		used := time.Second
		p := &processors{all: true, use: all.Store, used: func() time.Duration {
			if spins.Load() {
				used += processorsLook
			}
			return used
		}}
		ended := make(chan error)
		go func() { ended <- p.run(ctx) }()
		look := func(times int, want bool) {
			t.Helper()
			time.Sleep(time.Duration(times) * processorsLook)
			synctest.Wait()
			if all.Load() != want {
				t.Errorf("all processors: %v, want %v", all.Load(), want)
			}
		}
		look(calmLooks, false)
		spins.Store(true)
		look(1, true)
		spins.Store(false)
		look(calmLooks-1, true)
		look(1, false)
		cancel()
		if err := <-ended; err != nil || !all.Load() {
			t.Errorf("in the end: %v, all processors: %v", err, all.Load())
		}
	})
}

// TestProcessorTime grows with what is done.
func TestProcessorTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system is not asked for the time that a program uses")
	}
	for before := processorTime(); processorTime() < before+20*time.Millisecond; {
	}
}
