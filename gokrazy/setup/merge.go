package setup

import (
	"bytes"
	"maps"
	"slices"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// merge has what an owner's files say go over what is kept. What was changed in the
// files since they were last taken wins; what was not does not undo what was saved
// later. A secret is changed also if it stands where there were asterisks.
//
// A file that says nothing of the name, the country, the password or the networks
// changes nothing of it: a line that is lost must not cut the camera off. A flag that
// is no longer in the file has its default again.
func (s *said) merge(k kept, owner func(password string) bool) kept {
	now := k
	now.Settings, now.Taken = k.Settings.clone(), k.Taken.clone()
	change := func(to string, now, taken *string) {
		if to != "" && to != *taken {
			*now, *taken = to, to
		}
	}
	change(s.hostname, &now.Settings.Hostname, &now.Taken.Hostname)
	change(s.country, &now.Settings.Country, &now.Taken.Country)
	s.mergePassword(&now, owner)
	s.mergeViewerPassword(&now)
	s.mergeNetworks(&now)
	if s.flagsKnown {
		s.mergeFlags(&now)
	}
	return now
}

// mergePassword hashes a new one of the owner, which keep moves to where it belongs. owner
// tells whether a password is the owner's now: then a power cut came between the two.
func (s *said) mergePassword(now *kept, owner func(password string) bool) {
	s.newPassword(s.passwords, now.Blanked, &now.Taken.Password, func(password, hash string) {
		if !owner(password) {
			now.Settings.Password = hash
		}
	})
}

// mergeViewerPassword hashes a new one of the viewers.
func (s *said) mergeViewerPassword(now *kept) {
	s.newPassword(s.viewerPasswords, now.Blanked, &now.Taken.ViewerPassword, func(_, hash string) { now.Settings.ViewerPassword = hash })
	if len(s.viewerPasswords) > 0 && s.viewerPasswords[0].blanked() && now.Settings.ViewerPassword == "" {
		s.problem(s.viewerPasswords[0].Place, "The viewers' password is not kept any more: write it again.")
	}
}

// newPassword takes over the first of those in the files, and calls set if it is another
// one than was last taken, or was written again since that one was blanked.
func (s *said) newPassword(all []secret, blanked bool, taken *string, set func(password, hash string)) {
	if len(all) == 0 {
		return
	}
	first, rest := all[0], all[1:]
	if !first.blanked() && (blanked || !isPassword(*taken, first.value)) {
		hash, err := device.HashPassword(first.value)
		if err != nil {
			s.problem(first.Place, "The password cannot be taken over: %v.", err)
			return
		}
		*taken = hash
		set(first.value, hash)
	}
	s.secrets = append(s.secrets, first)
	for _, other := range rest {
		if other.blanked() || isPassword(*taken, other.value) {
			s.secrets = append(s.secrets, other)
		} else {
			s.problem(other.Place, "Another password is set in %s, line %d, and this one is left out.", first.File, first.Line)
		}
	}
}

func isPassword(hash, password string) bool {
	if hash == "" {
		return false
	}
	ok, err := device.NewOwner(hash).Verify(password)
	return ok && err == nil
}

func (s *said) mergeNetworks(now *kept) {
	var all, compare []Network
	where := make(map[string]Place) // by their names
	for _, n := range s.networks {
		here, before := Network{SSID: n.ssid, PSK: n.key}, Network{SSID: n.ssid, PSK: n.key}
		saved, taken := find(now.Settings.Networks, n.ssid), find(now.Taken.Networks, n.ssid)
		first, again := where[string(n.ssid)]
		switch {
		case again && !n.kept() && !sameKey(find(all, n.ssid).PSK, n.key) && !sameKey(find(compare, n.ssid).PSK, n.key):
			s.problem(n.Place, "This network has another password in %s, line %d, and this one is left out.", first.File, first.Line)
			continue
		case again:
			s.secrets = append(s.secrets, n.secrets()...)
			continue
		case n.kept() && saved == nil && taken == nil:
			s.problem(n.Place, "The password of %.40q is not kept any more: write it again.", n.ssid)
			continue
		case n.kept() && saved == nil:
			here, before = *taken, *taken
		case n.kept() && taken == nil:
			here, before = *saved, *saved
		case n.kept():
			here, before = *saved, *taken
		}
		where[string(n.ssid)] = n.Place
		s.secrets = append(s.secrets, n.secrets()...)
		all, compare = append(all, here), append(compare, before)
	}
	again := now.Blanked && slices.ContainsFunc(s.networks, func(n saidNetwork) bool { return n.password != nil && !n.kept() })
	if len(all) == 0 || !again && slices.EqualFunc(compare, now.Taken.Networks, sameNetwork) {
		return
	}
	// What was saved later on the page, and was never in the file, comes after it.
	for _, n := range now.Settings.Networks {
		if find(all, n.SSID) == nil && find(now.Taken.Networks, n.SSID) == nil && len(all) < maxNetworks {
			all = append(all, n)
		}
	}
	for i := range all {
		all[i].Priority = len(all) - i
	}
	for i := range compare {
		compare[i].Priority = len(compare) - i
	}
	now.Settings.Networks, now.Taken.Networks = all, compare
}

func find(all []Network, ssid []byte) *Network {
	for i := range all {
		if bytes.Equal(all[i].SSID, ssid) {
			return &all[i]
		}
	}
	return nil
}

func sameNetwork(a, b Network) bool { return bytes.Equal(a.SSID, b.SSID) && sameKey(a.PSK, b.PSK) }

func (s *said) mergeFlags(now *kept) {
	was := now.Taken.Flags
	if maps.Equal(was, s.flags) {
		return
	}
	flags := maps.Clone(now.Settings.Flags)
	if flags == nil {
		flags = make(map[string]string)
	}
	for name := range was {
		if _, ok := s.flags[name]; !ok {
			delete(flags, name)
		}
	}
	for name, value := range s.flags {
		if before, ok := was[name]; !ok || before != value {
			flags[name] = value
		}
	}
	now.Settings.Flags, now.Taken.Flags = flags, maps.Clone(s.flags)
}
