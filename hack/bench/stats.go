//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
)

// quantile is the smallest value that at least the share q of all values do not
// exceed; NaN if there are no values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return s[max(int(math.Ceil(q*float64(len(s))))-1, 0)]
}

// median is the middle, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// spread shows repeated measurements by their median, least and greatest.
func spread(values []float64, format string) string {
	switch {
	case len(values) == 0:
		return "–"
	case len(values) == 1:
		return fmt.Sprintf(format, values[0])
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(values), slices.Min(values), slices.Max(values))
}

// each is one figure of every element.
func each[T any](of []T, figure func(T) float64) []float64 {
	values := make([]float64, len(of))
	for i, v := range of {
		values[i] = figure(v)
	}
	return values
}

// frames are the frames that viewers saw.
type frames []frame

// between returns the frames that were complete from one time to another, in
// Unix nanoseconds.
func (all frames) between(from, to int64) frames {
	return slices.DeleteFunc(slices.Clone(all), func(f frame) bool { return f.Last < from || f.Last >= to })
}

// ages are in milliseconds.
func (all frames) ages() []float64 { return each(all, frame.age) }
