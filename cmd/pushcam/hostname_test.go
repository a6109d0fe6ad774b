package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pushcam/pushcam/gokrazy/device"
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

// null takes a name that a page gave back: then the camera has that of the card, or of its
// image, and the setting says whose it is.
func TestNameTakenBack(t *testing.T) {
	type ruled struct{ Value, Default, By any }
	for _, tt := range []struct {
		title, card, image string
		own, by            string
	}{
		{"the card's", `{"settings": {"Hostname": "attic"}, "card_hostname": "garden"}`, "pushcam\n", "garden", "card"},
		{"the image's", `{"settings": {"Hostname": "attic"}}`, "barn\n", "barn", "default"},
		{"nobody says one", "", "", "pushcam", "default"},
	} {
		t.Run(tt.title, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range map[string]string{"run/pushcam/setup.json": tt.card, "etc/hostname": tt.image} {
				if text == "" {
					continue
				}
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, path, text)
			}
			system, p := "attic", newPage(t, "")
			p.wire(&appliance{root: device.Root(root), hostname: func() (string, error) { return system, nil }}, new(pusher.Server), nil, nil, nil)
			p.apply, p.applyPassword = func(*config, *config) {}, nil
			renamed := 0
			p.rename = func(name string) error { renamed++; system = name; return nil }
			said := func() ruled {
				for _, s := range p.List() {
					if s.Name == "name" && s.Changeable {
						return ruled{s.Value, s.Default, s.By}
					}
				}
				return ruled{}
			}
			if got, want := said(), (ruled{"attic", tt.own, "settings"}); got != want {
				t.Errorf("a page's: %v, want %v", got, want)
			}
			for range 2 { // the second time there is nothing to take back
				if err := p.Change(map[string]any{"name": nil}); err != nil {
					t.Fatal(err)
				}
				if got, want := said(), (ruled{tt.own, tt.own, tt.by}); got != want || renamed != 1 {
					t.Errorf("taken back: %v after %d changes, want %v", got, renamed, want)
				}
			}
			if err := p.Change(map[string]any{"name": "Attic"}); err != nil {
				t.Fatal(err)
			}
			if got, want := said(), (ruled{"attic", tt.own, "settings"}); got != want {
				t.Errorf("changed again: %v, want %v", got, want)
			}
		})
	}
}
