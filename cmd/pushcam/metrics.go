package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/VictoriaMetrics/metrics"

	"github.com/pushcam/pushcam/camera"
)

// writeCameraMetrics writes the camera's part of /metrics.
func writeCameraMetrics(w io.Writer, s camera.State) {
	metrics.WriteCounterUint64(w, "pushcam_frames_captured_total", s.Frames)
	for _, kind := range camera.DropKinds {
		metrics.WriteCounterUint64(w, fmt.Sprintf("pushcam_frames_dropped_total{kind=%q}", kind), s.Dropped[kind])
	}
	for _, phase := range camera.Phases {
		is := uint64(0)
		if s.Phase == phase {
			is = 1
		}
		metrics.WriteGaugeUint64(w, fmt.Sprintf("pushcam_camera_phase{phase=%q}", phase), is)
	}
	metrics.WriteCounterUint64(w, "pushcam_camera_restarts_total", s.Restarts)
	metrics.WriteCounterUint64(w, "pushcam_camera_stalls_total", s.Stalls)
	for _, rung := range slices.Sorted(maps.Keys(s.Recovery)) {
		metrics.WriteCounterUint64(w, fmt.Sprintf("pushcam_camera_recovery_total{rung=%q}", rung), s.Recovery[rung])
	}
}

// writeMetrics writes the appliance's part of /metrics, which is none on a PC.
func (a *appliance) writeMetrics(w io.Writer) {
	if a == nil {
		return
	}
	metrics.WriteGaugeUint64(w, "pushcam_card_answers", one(a.watch.answers()))
	a.network.writeMetrics(w)
}
