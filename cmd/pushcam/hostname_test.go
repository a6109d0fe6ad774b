package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/pusher"
)

func TestAwaitOtherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		hostname := func() (string, error) {
			switch since := time.Since(began); {
			case since < time.Minute:
				return "pushcam", nil
			case since < 2*time.Minute:
				return "", errors.New("the kernel does not tell it")
			}
			return "garden", nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if awaitOtherName(ctx, "pushcam", hostname) {
			t.Error("it has the same name")
		}
		if has := awaitOtherName(t.Context(), "pushcam", hostname); !has || time.Since(began) > 2*time.Minute+renameLook {
			t.Errorf("it has another one: %v after %v", has, time.Since(began))
		}
	})
}

// The owner's page says the new name at once, and not the one of before, by which the program
// goes until it starts anew.
func TestNewNameOnPage(t *testing.T) {
	system, p := "pushcam", newPage(t, "")
	p.wire(&appliance{name: &discovery.Announcer{Hostname: system}, hostname: func() (string, error) { return system, nil }}, new(pusher.Server), nil, nil, nil)
	system = "garden"
	for _, s := range p.List() {
		if s.Name == "name" && s.Value != "garden" {
			t.Errorf("the page says that the name is %v", s.Value)
		}
	}
	if name, _ := p.offers(); name != "garden" {
		t.Errorf("it is called %s", name)
	}
}
