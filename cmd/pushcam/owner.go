package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/gokrazy/device"
	"github.com/pushcam/pushcam/gokrazy/setup"
	"github.com/pushcam/pushcam/gokrazy/update"
	"github.com/pushcam/pushcam/pusher"
	"github.com/pushcam/pushcam/pusher/api"
)

// newOwner is the camera's owner, with these answers and those that only an appliance has;
// nil if the camera has none, as on a PC without -owner-password. hosts are the names of
// -allow-host.
func newOwner(c *config, a *appliance, s *settings, page *pageSettings, hosts func() []string, answers map[string]http.Handler) *pusher.Owner {
	owner := &pusher.Owner{Answers: answers, Known: s.ownersAddresses(), Remember: s.setOwnersAddresses}
	switch {
	case a != nil:
		owner.Verify, owner.Free = a.owners.Verify, a.owners.Free
		owner.Offers = page.offers
		owner.Choose = func(choice pusher.Choice) error { return a.chooseOwner(choice, page) }
		owner.Change = a.changePassword
		owner.Names = func() []string { return append(a.ownNames(), hosts()...) }
		maps.Copy(owner.Answers, a.answers())
	case c.ownerPassword != "":
		is := isSecret(c.ownerPassword)
		owner.Verify = func(password string) (bool, error) { return is(password), nil }
		owner.Names = func() []string { return slices.Concat(hosts(), ownHostname()) }
	default:
		return nil
	}
	return owner
}

// ownersAPI is what an owner finds behind /api, on a PC too.
type ownersAPI struct {
	settings, events, controls, camera, log, visitors, report http.Handler
	actions                                                   actions
}

func (o *ownersAPI) answers() map[string]http.Handler {
	all := o.actions.answers()
	maps.Copy(all, map[string]http.Handler{
		"/api/openapi.json": http.HandlerFunc(api.Description),
		"/api/settings":     o.settings,
		"/api/events":       o.events,
		"/api/controls":     o.controls,
		"/api/camera":       o.camera,
		"/api/log":          o.log,
		"/api/visitors":     o.visitors,
		"/api/report":       o.report,
	})
	return all
}

// ends is end if this is an appliance, whose system the owner may end; else nil.
func (a *appliance) ends(end func(error)) func(error) {
	if a == nil {
		return nil
	}
	return end
}

// ownHostname is what a PC is called, and what multicast DNS calls it.
func ownHostname() []string {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	return []string{name, name + ".local"}
}

// answers are those that only an appliance's owner gets: updates, the Wi-Fi, and gokrazy's
// own pages.
func (a *appliance) answers() map[string]http.Handler {
	return map[string]http.Handler{
		update.Path: a.updates,
		"/api/wifi": a.wifi,
		"/gokrazy/": &device.WebInterface{Prefix: "/gokrazy/", Root: a.root, Log: a.log.With("component", "gokrazy"),
			PowerOff: func() { a.end(errOff) }, Reboot: func() { a.end(errReboot) }},
	}
}

// chooseOwner keeps the password of the first who chooses one, and what was chosen with it.
func (a *appliance) chooseOwner(choice pusher.Choice, page *pageSettings) error {
	if err := device.CheckPassword(choice.Password); err != nil {
		return fmt.Errorf("%w: %w", pusher.ErrUnsuitable, err)
	}
	if choice.Name != "" {
		name, err := setup.CheckHostname(choice.Name)
		if err != nil {
			return fmt.Errorf("%w: %w", pusher.ErrUnsuitable, err)
		}
		choice.Name = name
	}
	if err := a.owners.Choose(choice.Password); err != nil {
		return err
	}
	if err := page.take(choice); err != nil { // its owner can change it, and sees what it is
		a.log.Error("what was chosen with the owner's password does not serve", "err", err)
	}
	return nil
}

var errUnsettled = errors.New("an update is on trial, and what runs without it may not know the password: wait until it is committed")

// changePassword keeps another password of the owner.
func (a *appliance) changePassword(password string) error {
	if err := device.CheckPassword(password); err != nil {
		return fmt.Errorf("%w: %w", pusher.ErrUnsuitable, err)
	}
	if !a.settled() {
		return errUnsettled
	}
	if err := a.owners.Change(password); err != nil {
		return err
	}
	// One of the card's files that could not be kept so far would be kept later, and rule.
	if now, err := setup.Load(a.root); err != nil || now.Password == "" {
		return nil
	}
	return setup.Save(a.root, func(s *setup.Settings) error {
		s.Password = ""
		return nil
	})
}

// isCalled tells whether a name below .local is the appliance's.
func (a *appliance) isCalled(host string) bool {
	return a != nil && strings.EqualFold(host, a.name.State().Host)
}

// called is the appliance's name, at once after rename, although the program goes by the one
// of before until it starts anew.
func (a *appliance) called() string {
	if name, err := a.hostname(); err == nil {
		return name
	}
	return a.name.Hostname
}

// rename gives the appliance another name, with which its program then starts anew: see
// awaitOtherName.
func (a *appliance) rename(name string) error {
	err := setup.Save(a.root, func(s *setup.Settings) error {
		s.Hostname = name
		return nil
	})
	if err != nil && !errors.Is(err, setup.ErrNotKept) {
		return err
	}
	return device.SetHostname(name)
}

// lines are how it is, for who helps the owner.
func (a *appliance) lines(cam *camera.Camera) func() []string {
	if a == nil {
		return func() []string {
			s := cam.State()
			return []string{programInfo().String(), fmt.Sprintf("Camera: %s, %s. %s", s.Device, s.Phase, s.Reason)}
		}
	}
	return func() []string {
		r := *a.reporter
		r.code, r.kernel = "(it is on the card)", a.drivers.state().Release
		return r.lines()
	}
}
