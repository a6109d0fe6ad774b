package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/pushcam/pushcam/pusher/api"
)

// actions are what the owner has the camera do at once, by POST.
type actions struct {
	reopen  func()
	privacy func(closed bool)
	testLED func() error
	end     func(why error) // with errOff or errReboot the system; nil on a PC
}

var (
	errNoAppliance = errors.New("this pushcam is a program on somebody's computer, which it does not switch off")
	errNotSure     = errors.New(`say that you are sure: {"sure": true}`)
	errNoOn        = errors.New(`say whether the camera is to be closed: {"on": true}, or false to open it`)
)

// answers are those of the actions, by their paths.
func (a *actions) answers() map[string]http.Handler {
	const path = "/api/actions/"
	return map[string]http.Handler{
		path + "restart-camera": post(func(w http.ResponseWriter, _ *http.Request) {
			a.reopen()
			w.WriteHeader(http.StatusNoContent)
		}),
		path + "led-test": post(func(w http.ResponseWriter, r *http.Request) {
			if err := a.testLED(); err != nil {
				api.Fail(w, r, http.StatusConflict, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}),
		path + "privacy":  post(a.setPrivacy),
		path + "reboot":   post(func(w http.ResponseWriter, r *http.Request) { a.endFor(errReboot, w, r) }),
		path + "poweroff": post(func(w http.ResponseWriter, r *http.Request) { a.endFor(errOff, w, r) }),
	}
}

func post(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.Allows(w, r, http.MethodPost) {
			answer(w, r)
		}
	})
}

func (a *actions) setPrivacy(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		On *bool `json:"on"`
	}
	switch {
	case !api.Read(w, r, &wish):
	case wish.On == nil:
		api.Fail(w, r, http.StatusBadRequest, errNoOn)
	default:
		a.privacy(*wish.On)
		w.WriteHeader(http.StatusNoContent)
	}
}

// endFor ends the system, when the answer is on its way.
func (a *actions) endFor(why error, w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Sure bool `json:"sure"`
	}
	switch {
	case a.end == nil:
		api.Fail(w, r, http.StatusConflict, errNoAppliance)
	case !api.Read(w, r, &wish):
	case !wish.Sure:
		api.Fail(w, r, http.StatusBadRequest, errNotSure)
	default:
		w.Header().Set("Content-Length", "0") // the answer is whole, though the system ends
		w.WriteHeader(http.StatusAccepted)
		http.NewResponseController(w).Flush() // who is gone has asked for it nevertheless
		a.end(fmt.Errorf("%w: its owner wants it", why))
	}
}
