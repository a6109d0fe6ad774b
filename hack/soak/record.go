//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/hack/plot"
)

// A sample is what the program holds at a moment, and how old its frames have been since
// the one before.
type sample struct {
	at         time.Duration // since the beginning
	memory     float64       // resident, in bytes
	goroutines float64
	files      float64 // open descriptors
	viewers    float64
	age        time.Duration // the median
}

// A record is what was seen of a run.
type record struct {
	budget        float64 // bytes
	before, after sample  // without visitors
	samples       []sample
	frames        int   // of the viewer who watched all the while
	damaged       error // what it saw that no stream may have
}

// sample adds a sample to the record each time that every has gone by, until ctx is done;
// or one alone, if begun is zero.
func (s *soak) sample(ctx context.Context, r *record, viewer *steady, begun time.Time, every time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		now, err := s.measure(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if ages := viewer.take(); len(ages) > 0 {
			slices.Sort(ages)
			now.age = ages[len(ages)/2]
		}
		if begun.IsZero() {
			r.samples = append(r.samples, now)
			return nil
		}
		now.at = time.Since(begun)
		r.samples = append(r.samples, now)
	}
}

// patience is how long the program may take for its metrics. It may be stopped, and all
// its connections may be taken for a while.
const patience = time.Minute

// measure asks the program for its metrics, and the system for its descriptors.
func (s *soak) measure(ctx context.Context) (sample, error) {
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		text, err := get(ctx, &web, "http://"+s.address+"/metrics")
		if err == nil {
			now, err := parse(text)
			if err != nil {
				return sample{}, err
			}
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
			now.files = float64(len(files))
			return now, err
		}
		select {
		case <-ctx.Done():
			return sample{}, fmt.Errorf("the program's metrics: %w\n%s", err, s.log.Bytes())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, web *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := web.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(text), err
}

// parse reads metrics in Prometheus' text format, all but the descriptors.
func parse(text string) (sample, error) {
	var s sample
	wanted := map[string]*float64{
		"process_resident_memory_bytes": &s.memory,
		"go_goroutines":                 &s.goroutines,
		"pushcam_viewers":               &s.viewers,
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if to := wanted[name]; to != nil {
			var err error
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return s, fmt.Errorf("the metric %s: %w", name, err)
			}
			delete(wanted, name)
		}
	}
	if len(wanted) > 0 {
		return s, fmt.Errorf("%d metrics are missing", len(wanted))
	}
	return s, nil
}

// await waits until the program holds no more than before its visitors came. It notes
// what is left when ctx is done.
func (r *record) await(ctx context.Context, s *soak) error {
	for {
		now, err := s.measure(ctx)
		switch {
		case err == nil:
			r.after = now
			if r.left() == nil {
				return nil
			}
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// left is an error if there is more at the end than there was at the beginning.
func (r *record) left() error {
	for _, c := range []struct {
		what          string
		before, after float64
	}{
		{"viewers", r.before.viewers, r.after.viewers},
		{"goroutines", r.before.goroutines, r.after.goroutines},
		{"descriptors", r.before.files, r.after.files},
	} {
		if c.after > c.before {
			return fmt.Errorf("when all visitors had gone for %v, there were %v %s, and %v before they came", settle, c.after, c.what, c.before)
		}
	}
	return nil
}

// growth is how many times more of something there is on average in the last quarter of
// the samples than in the first.
func (r *record) growth(of func(sample) float64) float64 {
	n := max(len(r.samples)/4, 1)
	mean := func(part []sample) (sum float64) {
		for _, s := range part {
			sum += of(s)
		}
		return sum / float64(len(part))
	}
	return mean(r.samples[len(r.samples)-n:]) / mean(r.samples[:n])
}

// compared are those of which the last quarter is compared with the first. Goroutines and
// descriptors follow how many visitors there are at the moment: that none is left, is looked
// at when all have gone. Ages are this computer's, too.
var compared = []struct {
	name string
	of   func(sample) float64
}{
	{"memory", func(s sample) float64 { return s.memory }},
	{"viewers", func(s sample) float64 { return s.viewers }},
	{"goroutines", func(s sample) float64 { return s.goroutines }},
	{"descriptors", func(s sample) float64 { return s.files }},
	{"age of frames", func(s sample) float64 { return float64(s.age) }},
}

// longEnough is how many samples tell growth from chance.
const longEnough = 120

// judge is an error if something has grown, or a stream was damaged.
func (r *record) judge() error {
	var wrong []error
	if r.damaged != nil {
		wrong = append(wrong, fmt.Errorf("the viewer who watched all the while, at frame %d: %w", r.frames, r.damaged))
	}
	if r.frames == 0 {
		wrong = append(wrong, errors.New("the viewer who watched all the while saw no frame"))
	}
	wrong = append(wrong, r.left())
	for _, s := range r.samples {
		if s.memory > r.budget {
			wrong = append(wrong, fmt.Errorf("after %v the program had %.1f MB, of %.1f MB", s.at, s.memory/1e6, r.budget/1e6))
			break
		}
	}
	if len(r.samples) >= longEnough {
		if g := r.growth(compared[0].of); g > 1.05 {
			wrong = append(wrong, fmt.Errorf("memory: the last quarter has %.3f times what the first has", g))
		}
	}
	return errors.Join(wrong...)
}

// print says what was seen.
func (r *record) print(out io.Writer) {
	show := func(name string, s sample) {
		fmt.Fprintf(out, "%-8s %6.1f MB %5.0f goroutines %4.0f descriptors %4.0f viewers\n", name, s.memory/1e6, s.goroutines, s.files, s.viewers)
	}
	show("before", r.before)
	var most sample
	for _, s := range r.samples {
		most.memory, most.goroutines = max(most.memory, s.memory), max(most.goroutines, s.goroutines)
		most.files, most.viewers = max(most.files, s.files), max(most.viewers, s.viewers)
	}
	show("at most", most)
	show("after", r.after)
	if len(r.samples) > 0 {
		for _, j := range compared {
			fmt.Fprintf(out, "%s: last quarter / first quarter = %.3f\n", j.name, r.growth(j.of))
		}
	}
	fmt.Fprintf(out, "%d samples; one viewer took %d frames, none damaged: %v\n", len(r.samples), r.frames, r.damaged == nil)
}

// plot shows the samples.
func (r *record) plot() plot.Plot {
	p := plot.Plot{Title: "pushcam under visitors that come, go, stall and abort", Y: "MB, number, ms"}
	for _, c := range []struct {
		name string
		of   func(sample) float64
	}{
		{"memory in MB", func(s sample) float64 { return s.memory / 1e6 }},
		{"goroutines", func(s sample) float64 { return s.goroutines }},
		{"descriptors", func(s sample) float64 { return s.files }},
		{"age in ms", func(s sample) float64 { return float64(s.age) / 1e6 }},
	} {
		curve := plot.Curve{Name: c.name}
		for _, s := range r.samples {
			curve.Points = append(curve.Points, plot.Point{X: s.at.Seconds(), Y: c.of(s)})
		}
		p.Curves = append(p.Curves, curve)
	}
	return p
}
