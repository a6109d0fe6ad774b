package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/pusher/api"
)

// controls are the camera's: those that the flags set, which stay so, and those
// that the owner sets while the program runs.
type controls struct {
	camera   *v4l2.Source
	config   *config
	settings *settings
	// changed is called after a change. It must not block. May be nil.
	changed func()

	mu sync.Mutex // held by a change
}

// newControls makes the camera, with these controls.
func newControls(c *config, s *settings, log *slog.Logger) *controls {
	k := &controls{config: c, settings: s}
	k.camera = &v4l2.Source{
		Device:      c.device,
		Settings:    c.settings(),
		PixelFormat: strings.ToUpper(c.format),
		Controls:    valuesOf(c.controlsOver(s.controls())),
		Log:         log,
	}
	if c.appliance {
		driver := v4l2.HasPiCameraDriver(c.root.Path())
		k.camera.Why = func() string { return v4l2.Diagnose(c.root.Path(), c.root.Model(), driver).Cause() }
	}
	return k
}

// valuesOf are the controls without where they come from.
func valuesOf(all map[string]given) v4l2.Controls {
	values := v4l2.Controls{}
	for name, g := range all {
		values[name] = g.Value
	}
	return values
}

// maxControlsForm is the size of a form, in bytes.
const maxControlsForm = 8 << 10

// ServeHTTP answers with the camera's controls. A POST sets those of its form before, a
// PATCH those of its JSON object, at once, and again whenever the program starts. A DELETE
// puts back all that were set so.
func (k *controls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !api.Allows(w, r, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete) {
		return
	}
	switch r.Method {
	case http.MethodPatch, http.MethodDelete:
		form, ok := k.readChange(w, r)
		if !ok {
			return
		}
		if code, err := k.change(form); err != nil {
			api.Fail(w, r, code, err)
			return
		}
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxControlsForm)
		if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
			api.Fail(w, r, http.StatusBadRequest, errors.New("send controls as a form, as rotate=180&hflip=on"))
			return
		}
		if code, err := k.change(r.PostForm); err != nil {
			api.Fail(w, r, code, err)
			return
		}
	}
	var answer struct {
		Set    map[string]v4l2.ControlState `json:"set"`
		By     map[string]origin            `json:"by"` // what rules each
		Camera []v4l2.Control               `json:"camera"`
		Error  string                       `json:"error,omitempty"`
	}
	var err error
	answer.Set, answer.By = k.camera.ControlStates(), make(map[string]origin)
	for name, g := range k.config.controlsOver(k.settings.controls()) {
		answer.By[name] = g.By
	}
	if answer.Camera, err = k.camera.DeviceControls(); err != nil {
		answer.Error = err.Error()
	}
	if answer.Camera == nil {
		answer.Camera = []v4l2.Control{} // in JSON a list
	}
	api.Answer(w, r, http.StatusOK, answer)
}

// readChange reads what a PATCH or a DELETE is to change, as a form has it.
func (k *controls) readChange(w http.ResponseWriter, r *http.Request) (form map[string][]string, ok bool) {
	form = make(map[string][]string)
	if r.Method == http.MethodDelete {
		for name := range k.settings.controls() {
			form[name] = []string{v4l2.DefaultValue}
		}
		return form, true
	}
	values := make(map[string]any)
	if !api.Read(w, r, &values) {
		return nil, false
	}
	refused := make(api.Refusals)
	for name, value := range values {
		switch v := value.(type) {
		case nil:
			form[name] = []string{v4l2.DefaultValue}
		case bool:
			form[name] = []string{map[bool]string{true: "on", false: "off"}[v]}
		case string, json.Number:
			form[name] = []string{fmt.Sprint(v)}
		default:
			refused[name] = fmt.Sprintf("the control %.40s has a value such as 50, on or auto, and no list or object", name)
		}
	}
	if len(refused) > 0 {
		api.Fail(w, r, http.StatusBadRequest, refused)
		return nil, false
	}
	return form, true
}

// change sets the controls of a form, all or none. What is wrong with them is Refusals, which
// are by the names in the form.
func (k *controls) change(form map[string][]string) (code int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	after := k.settings.controls()
	if after == nil {
		after = v4l2.Controls{}
	}
	fixed, refused, code := k.config.controlsOver(nil), make(api.Refusals), http.StatusConflict
	for _, n := range slices.Sorted(maps.Keys(form)) { // two may be names of one control
		values := form[n]
		name, value, err := v4l2.CheckControl(n, values[len(values)-1])
		if err != nil {
			refused[n], code = err.Error(), http.StatusBadRequest
			continue
		}
		if g, ok := fixed[name]; ok {
			refused[n] = fmt.Sprintf("%s is %s by %s, and stays so", name, g.Value, g.By.called())
			continue
		}
		after[name] = value
		if value == v4l2.DefaultValue {
			delete(after, name)
		}
	}
	if len(refused) > 0 {
		return code, refused
	}
	if err := after.Check(); err != nil {
		return http.StatusBadRequest, err
	}
	var bad *v4l2.ControlError
	switch err := k.camera.SetControls(valuesOf(k.config.controlsOver(after))); {
	case errors.As(err, &bad):
		return http.StatusUnprocessableEntity, api.Refusals{bad.Name: bad.Reason}
	case err != nil:
		return http.StatusServiceUnavailable, fmt.Errorf("the camera does not answer: %w", err)
	}
	k.settings.setControls(after)
	if k.changed != nil {
		k.changed()
	}
	return 0, nil
}
