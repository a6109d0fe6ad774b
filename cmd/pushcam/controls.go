package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

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

	asking chan struct{} // has room for the one that asks the driver, or makes a change
	// setAll and list ask it.
	setAll func(v4l2.Controls) error
	list   func() ([]v4l2.Control, error)
}

// newControls makes the camera, with these controls.
func newControls(c *config, s *settings, log *slog.Logger) *controls {
	k := &controls{config: c, settings: s, asking: make(chan struct{}, 1)}
	k.camera = &v4l2.Source{
		Device:      c.device,
		Settings:    c.settings(),
		PixelFormat: strings.ToUpper(c.format),
		Controls:    valuesOf(c.controlsOver(s.controls())),
		Log:         log,
	}
	k.setAll, k.list = k.camera.SetControls, k.camera.DeviceControls
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
// puts back all that were set so. Each changes nothing if its If-Match is not what is set.
func (k *controls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !api.Allows(w, r, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete) {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		form, ok := k.readChange(w, r)
		if !ok {
			return
		}
		if code, err := k.changeSeen(form, r); err != nil {
			api.Fail(w, r, code, err)
			return
		}
	}
	var answer struct {
		Version string                       `json:"version"`
		Set     map[string]v4l2.ControlState `json:"set"`
		By      map[string]origin            `json:"by"` // what rules each
		Camera  []v4l2.Control               `json:"camera"`
		Error   string                       `json:"error,omitempty"`
	}
	var listed []v4l2.Control
	var why error
	if err := k.alone(func() { listed, why = k.list() }); err != nil {
		answer.Error = errSilent.Error()
	} else if answer.Camera = listed; why != nil {
		answer.Error = why.Error()
	}
	answer.Version, answer.Set, answer.By = k.now()
	if answer.Camera == nil {
		answer.Camera = []v4l2.Control{} // in JSON a list
	}
	api.AnswerVersion(w, r, answer.Version, answer)
}

// controlsWait is how long an owner waits for the driver. Some cameras take a second for
// each of their controls.
const controlsWait = 15 * time.Second

var (
	errSilent = errors.New("the camera's driver does not answer")
	errGoesOn = fmt.Errorf("%w; what was asked of it serves when it does", errSilent)
)

// alone runs what asks the driver, or changes what is asked of it, one at a time. A driver
// that hangs answers nobody, and nothing ends the question, but it keeps its owner from
// nothing else: then alone returns errGoesOn, or errSilent if what has not even begun.
func (k *controls) alone(what func()) error {
	patience := time.NewTimer(controlsWait)
	defer patience.Stop()
	select {
	case k.asking <- struct{}{}:
	case <-patience.C:
		return errSilent
	}
	done := make(chan struct{})
	go func() {
		defer func() { <-k.asking }()
		defer close(done)
		what()
	}()
	select {
	case <-done:
		return nil
	case <-patience.C:
		return errGoesOn
	}
}

// now is what is set, with its version, and what rules each.
func (k *controls) now() (version string, set map[string]v4l2.ControlState, by map[string]origin) {
	all := k.config.controlsOver(k.settings.controls())
	by = make(map[string]origin)
	for name, g := range all {
		by[name] = g.By
	}
	return api.VersionOf(all), k.camera.ControlStates(), by
}

// version is that of what is set.
func (k *controls) version() string {
	return api.VersionOf(k.config.controlsOver(k.settings.controls()))
}

// readChange reads what a request is to change, as a form has it; nil is to put back all.
func (k *controls) readChange(w http.ResponseWriter, r *http.Request) (form map[string][]string, ok bool) {
	switch r.Method {
	case http.MethodDelete:
		return nil, true
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxControlsForm)
		if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
			api.Fail(w, r, http.StatusBadRequest, errors.New("send controls as a form, as rotate=180&hflip=on"))
			return nil, false
		}
		return r.PostForm, true
	}
	form = make(map[string][]string)
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
		api.Fail(w, r, http.StatusBadRequest, others(refused, len(values)))
		return nil, false
	}
	return form, true
}

// changeSeen makes a request's change, if what is set is what its owner has seen.
func (k *controls) changeSeen(form map[string][]string, r *http.Request) (code int, err error) {
	return k.changeAlone(func() (int, error) {
		switch {
		case !api.Matches(r, k.version()):
			return http.StatusPreconditionFailed, api.ErrChanged
		case form == nil:
			return k.set(v4l2.Controls{}, nil)
		}
		return k.changeLocked(form)
	})
}

// change sets the controls of a form, all or none. What is wrong with them is Refusals, which
// are by the names in the form.
func (k *controls) change(form map[string][]string) (code int, err error) {
	return k.changeAlone(func() (int, error) { return k.changeLocked(form) })
}

// changeAlone makes a change, alone.
func (k *controls) changeAlone(change func() (int, error)) (int, error) {
	var code int
	var err error
	if silent := k.alone(func() { code, err = change() }); silent != nil {
		return http.StatusServiceUnavailable, silent
	}
	return code, err
}

func (k *controls) changeLocked(form map[string][]string) (code int, err error) {
	after := k.settings.controls()
	if after == nil {
		after = v4l2.Controls{}
	}
	fixed, refused, code := k.config.controlsOver(nil), make(api.Refusals), http.StatusConflict
	names := make(map[string]string)                   // in the form, by those of the controls
	for _, n := range slices.Sorted(maps.Keys(form)) { // two may be names of one control
		values := form[n]
		name, value, err := v4l2.CheckControl(n, values[len(values)-1])
		if err != nil {
			refused[n], code = err.Error(), http.StatusBadRequest
			continue
		}
		for _, f := range slices.Sorted(maps.Keys(fixed)) {
			if g := fixed[f]; v4l2.Overlap(f, name) {
				refused[n] = fmt.Sprintf("%s is %s by %s, and stays so", f, g.Value, g.By.called())
			}
		}
		names[name] = n
		after.Change(name, value)
	}
	if len(refused) > 0 {
		return code, others(refused, len(form))
	}
	if err := after.Check(); err != nil {
		return http.StatusBadRequest, err
	}
	code, err = k.set(after, names)
	if errors.As(err, &refused) {
		err = others(refused, len(form))
	}
	return code, err
}

// set has these controls serve, and be kept. Its Refusals are by names, where that has them.
func (k *controls) set(after v4l2.Controls, names map[string]string) (code int, err error) {
	var bad v4l2.ControlErrors
	switch err := k.setAll(valuesOf(k.config.controlsOver(after))); {
	case errors.As(err, &bad):
		refused := make(api.Refusals)
		for name, reason := range bad {
			refused[cmp.Or(names[name], name)] = reason
		}
		return http.StatusUnprocessableEntity, refused
	case err != nil:
		return http.StatusServiceUnavailable, fmt.Errorf("the camera does not answer: %w", err)
	}
	k.settings.setControls(after)
	if k.changed != nil {
		k.changed()
	}
	return 0, nil
}

var errOthers = errors.New("the others stay as they were")

// others adds what became of the others to what was refused of a number of controls.
func others(refused api.Refusals, asked int) error {
	if asked == len(refused) {
		return refused
	}
	return fmt.Errorf("%w; %w", refused, errOthers)
}
