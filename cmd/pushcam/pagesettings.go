package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/pusher"
	"github.com/pushcam/pushcam/pusher/api"
)

// pageSettings are those that the owner changes while the program runs: flags, what the
// camera encodes with, the viewers' password, and the camera's name.
type pageSettings struct {
	kept     *settings
	controls *controls
	// apply makes a change serve.
	apply func(was, now *config)
	// applyPassword makes another viewers' password serve; nil is none.
	applyPassword func(verify func(string) bool)
	// lacksLED says why there is no LED; "" if there is one.
	lacksLED string
	// name is the camera's, and rename changes it; nil on a PC, whose name is its own. own
	// is what it is without the page.
	name   func() string
	rename func(name string) error
	own    given

	mu  sync.Mutex // held by a change
	now atomic.Pointer[config]
}

var _ api.Settings = (*pageSettings)(nil)

// withPage adds what the owner has set on the page to c. What cannot be any more, because
// other flags have changed, is left out.
func withPage(c *config, page map[string]string, log *slog.Logger) *config {
	good := make(map[string]string)
	for _, flag := range slices.Sorted(maps.Keys(page)) {
		good[flag] = page[flag]
		now, err := c.with(good)
		if err != nil {
			log.Warn("what was set on the page does not serve", "flag", flag, "why", err)
			delete(good, flag)
			continue
		}
		c = now
	}
	return c
}

// Trouble says why changes do not last.
func (p *pageSettings) Trouble() string { return p.kept.lost() }

// encodings are the settings that are controls of the camera.
var encodings = []struct {
	name             string
	kind             api.Kind
	minimum, maximum *float64
}{{"quality", api.Integer, bound(1), bound(100)}, {"bitrate", api.String, nil, nil}}

// List lists all settings.
func (p *pageSettings) List() []api.Setting {
	c := p.now.Load()
	defaults := &config{root: c.root, appliance: c.appliance}
	defaults.flags()
	defaults.memory = c.memory
	defaults.complete()
	var all []api.Setting
	for _, f := range pageFlags {
		s := f.setting(c, defaults)
		if f.flag == "led" && p.lacksLED != "" {
			s.Changeable, s.Why = false, p.lacksLED
		}
		all = append(all, s)
	}
	controls := c.controlsOver(p.kept.controls())
	for _, e := range encodings {
		s := api.Setting{Name: e.name, Kind: e.kind, By: "default", Changeable: true, Applies: api.Live, Minimum: e.minimum, Maximum: e.maximum}
		if g, ok := controls[e.name]; ok {
			s.Value = g.Value
			if n, err := strconv.ParseInt(g.Value, 10, 64); err == nil && e.kind == api.Integer {
				s.Value = n
			}
			ruled(&s, g)
		}
		if why := ownEncoding(c); why != "" {
			s.Changeable, s.Why = false, why
		}
		all = append(all, s)
	}
	verify, by, revision := viewersPassword(c, p.kept)
	set := verify != nil
	password := api.Setting{Name: "viewer_password", Kind: api.String, Set: &set, By: "default", Changeable: true, Applies: api.Live, Revision: revision}
	if set {
		ruled(&password, given{By: by})
	}
	all = append(all, password)
	if p.name != nil {
		s := api.Setting{Name: "name", Kind: api.String, Value: p.name(), Default: p.own.Value, By: string(bySettings), Changeable: true, Applies: api.Program}
		if s.Value == p.own.Value {
			s.By = string(p.own.By)
		}
		all = append(all, s)
	}
	return all
}

// Change makes all changes, or none.
func (p *pageSettings) Change(values map[string]any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	was, hash, page, form, refused := p.now.Load(), p.kept.viewerHash(), p.kept.page(), make(map[string][]string), make(api.Refusals)
	if page == nil {
		page = make(map[string]string)
	}
	name, newHash := "", hash
	for n, value := range values {
		var err error
		switch text, _ := value.(string); n {
		case "quality", "bitrate":
			if form[n] = []string{v4l2.DefaultValue}; value != nil {
				form[n] = []string{fmt.Sprint(value)}
			}
		case "viewer_password":
			newHash, err = hashOf(value)
		case "name":
			if name, err = setup.CheckHostname(cmp.Or(text, p.own.Value)); err == nil && name == p.name() {
				name = ""
			}
		default:
			err = p.set(page, n, value)
		}
		if err != nil {
			refused[n] = strings.TrimPrefix(err.Error(), "-")
		}
	}
	if len(refused) > 0 {
		return refused
	}
	now, err := was.with(page)
	if err != nil { // each alone would do
		return api.Refusals{"settings": strings.TrimPrefix(err.Error(), "-")}
	}
	before := p.kept.controls()
	if err := p.encode(form); err != nil {
		return err
	}
	if name != "" {
		if err := p.rename(name); err != nil {
			for n := range form {
				form[n] = []string{cmp.Or(before[n], v4l2.DefaultValue)}
			}
			return errors.Join(fmt.Errorf("the name cannot be kept: %w", err), p.encode(form))
		}
	}
	p.kept.setPage(page, newHash)
	p.now.Store(now)
	p.apply(was, now)
	if newHash != hash {
		verify, _, _ := viewersPassword(now, p.kept)
		p.applyPassword(verify)
	}
	return nil
}

// wire has changes serve.
func (p *pageSettings) wire(a *appliance, server *pusher.Server, cam *camera.Camera, panel *panel, level *slog.LevelVar) {
	if a != nil {
		p.name, p.rename, p.own = a.called, a.rename, ownName(a.root)
	}
	p.applyPassword = server.SetViewersPassword
	p.apply = func(was, now *config) {
		if was.device != now.device || was.size != now.size || was.fps != now.fps || was.format != now.format {
			p.controls.camera.Ask(now.device, now.settings(), strings.ToUpper(now.format))
			cam.Reopen()
		}
		if was.viewing != now.viewing {
			server.SetOpen(now.viewing != "closed")
		}
		cam.SetIdle(now.idleHold, now.alwaysOn)
		panel.setDark(!now.led)
		level.Set(now.verbose)
	}
}

// offers are what may be chosen together with the owner's password.
func (p *pageSettings) offers() (name string, viewing bool) {
	g, given := p.now.Load().given["viewing"]
	return p.name(), !given || g.By == bySettings
}

// take makes what was chosen so serve.
func (p *pageSettings) take(choice pusher.Choice) error {
	values := make(map[string]any)
	if choice.Name != "" {
		values["name"] = choice.Name
	}
	if _, offered := p.offers(); offered && choice.Viewing != "" {
		values["viewing"] = choice.Viewing
	}
	return p.Change(values)
}

// takeViewing has what was chosen on the page of the set-up network serve.
func (p *pageSettings) takeViewing(chosen string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.kept.takeViewing(chosen) {
		return
	}
	was := p.now.Load()
	if now, err := was.with(p.kept.page()); err == nil { // all of it served before, and the portal knows what viewing can be
		p.now.Store(now)
		p.apply(was, now)
	}
}

// viewersFlags are without what is only the owner's business: where the camera is plugged
// in, and its serial number.
func (p *pageSettings) viewersFlags() map[string]given {
	all := maps.Clone(p.now.Load().given)
	delete(all, "device")
	return all
}

// set changes a flag among those of the page. Its error says what is wrong with the value.
func (p *pageSettings) set(page map[string]string, name string, value any) error {
	i := slices.IndexFunc(pageFlags, func(f pageFlag) bool { return f.name() == name })
	if i < 0 {
		return fmt.Errorf("there is no setting %.40q", name)
	}
	f := &pageFlags[i]
	if value == nil {
		delete(page, f.flag)
		return nil
	}
	page[f.flag] = f.asText(value)
	alone := p.kept.page()
	if alone == nil {
		alone = make(map[string]string)
	}
	alone[f.flag] = page[f.flag]
	_, err := p.now.Load().with(alone)
	return err
}

func hashOf(password any) (string, error) {
	text, ok := password.(string)
	if !ok {
		return "", nil
	}
	if err := device.CheckPassword(text); err != nil {
		return "", err
	}
	return device.HashPassword(text)
}

// encode sets controls of the camera, which may refuse them.
func (p *pageSettings) encode(form map[string][]string) error {
	if len(form) == 0 {
		return nil
	}
	code, err := p.controls.change(form)
	if err == nil || code == http.StatusServiceUnavailable {
		return err
	}
	var refused api.Refusals
	if errors.As(err, &refused) {
		return refused
	}
	return api.Refusals{slices.Sorted(maps.Keys(form))[0]: err.Error()}
}
