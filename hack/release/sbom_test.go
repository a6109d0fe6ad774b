//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pushcam/pushcam/gokrazy/image"
	"github.com/pushcam/pushcam/gokrazy/network/firmware"
	"github.com/pushcam/pushcam/gokrazy/network/wpa"
)

// The bill of a program tells what it was built of, who uses what, and is the same
// twice.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	write := func() []byte {
		v := newInventory()
		for _, name := range []string{"/user/pushcam", "pushcamctl"} {
			if err := v.addProgram("pushcam", name, "v1", program); err != nil {
				t.Fatal(err)
			}
		}
		v.add("pushcam", component{Type: "firmware", Name: "firmware & more", Licenses: licensedAs("its maker's")})
		var out bytes.Buffer
		if err := v.bom(component{Type: "firmware", Ref: "pushcam", Name: "pushcam", Version: "v1"}, time.Unix(0, 0)).write(&out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	text := write()
	if again := write(); !bytes.Equal(text, again) {
		t.Errorf("it is another one the second time:\n%s\n%s", text, again)
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Metadata.Timestamp != "1970-01-01T00:00:00Z" || !strings.Contains(string(text), `"firmware & more"`) {
		t.Errorf("the bill is\n%s", text)
	}
	refs := make(map[string]bool)
	for _, c := range b.Components {
		if refs[c.Ref] {
			t.Errorf("%s is there twice", c.Ref)
		}
		refs[c.Ref] = true
	}
	for _, want := range []string{"application:/user/pushcam", "application:pushcamctl", "firmware:firmware & more"} {
		if !refs[want] {
			t.Errorf("there is no %s", want)
		}
	}
	modules := 0
	for _, d := range b.Dependencies {
		for _, on := range d.On {
			if !refs[on] {
				t.Errorf("%s uses %s, which is not there", d.Ref, on)
			}
		}
		if d.Ref == "application:pushcamctl" {
			modules = len(d.On)
			if !slices.ContainsFunc(d.On, func(ref string) bool { return strings.HasPrefix(ref, "pkg:golang/std@1.") }) {
				t.Errorf("Go's own library is not among %v", d.On)
			}
		}
	}
	if modules < 2 {
		t.Errorf("the program uses %d modules", modules)
	}
	if err := newInventory().addProgram("pushcam", "text", "v1", []byte("text")); err == nil {
		t.Error("what is no program is taken for one")
	}
}

// What is there for the radio is in the bill with the versions that it was built of.
func TestBillOfTheRadio(t *testing.T) {
	checkout, err := image.FindCheckout(".")
	if err != nil {
		t.Fatal(err)
	}
	v := newInventory()
	has := &firmware.Contents{SHA256: map[string]string{wpa.Path: "00", wpa.RegulatoryDB: "01", firmware.Folder + "/a.bin": "02", firmware.Folder + "/a.txt": "03"}}
	if err := (&release{checkout: checkout}).addWiFi(v, "pushcam", has); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for ref, c := range v.components {
		switch {
		case c.Type == "firmware":
		case c.Version == "" || strings.HasSuffix(ref, "@"):
			t.Errorf("%s has no version", ref)
		}
		for _, h := range c.Hashes {
			if seen++; has.SHA256[c.Name] != h.Content {
				t.Errorf("%s has the digest %s", c.Name, h.Content)
			}
		}
	}
	if seen != len(has.SHA256) {
		t.Errorf("%d of %d files are in the bill: %+v", seen, len(has.SHA256), v.components)
	}
}
