package setup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// state is what is kept, as a test writes it.
type state struct {
	hostname string
	networks string // names and passwords as "a:password a,open"
	flags    map[string]string
}

func (s state) settings(t *testing.T) Settings {
	set := Settings{Hostname: s.hostname, Flags: s.flags}
	if s.networks != "" {
		all := strings.Split(s.networks, ",")
		for i, text := range all {
			ssid, password, secured := strings.Cut(text, ":")
			n := Network{SSID: []byte(ssid), Priority: len(all) - i}
			if secured {
				key, err := ParseKey(n.SSID, password)
				if err != nil {
					t.Fatal(err)
				}
				n.PSK = key
			}
			set.Networks = append(set.Networks, n)
		}
	}
	return set
}

func TestMerge(t *testing.T) {
	never := func(string) bool { return false }
	for _, tt := range []struct {
		name            string
		now, taken      state
		text            string // of pushcam.txt; "-" is none
		want, wantTaken state
		problems        []string
		secrets         int
	}{
		{name: "the first time",
			text: "hostname=garden\nwifi-ssid=a\nwifi-password=password a\nwifi-ssid=open\nfps=5",
			want: state{"garden", "a:password a,open", map[string]string{"fps": "5"}}, wantTaken: state{"garden", "a:password a,open", map[string]string{"fps": "5"}}, secrets: 1},
		{name: "no file",
			now: state{"garden", "a:password a", map[string]string{"fps": "5"}}, taken: state{"garden", "a:password a", map[string]string{"fps": "5"}},
			text: "-",
			want: state{"garden", "a:password a", map[string]string{"fps": "5"}}, wantTaken: state{"garden", "a:password a", map[string]string{"fps": "5"}}},
		{name: "the file lost its lines",
			now: state{"garden", "a:password a", map[string]string{"fps": "5", "size": "640x480"}}, taken: state{"garden", "a:password a", map[string]string{"fps": "5"}},
			text: "# hostname=garden",
			want: state{"garden", "a:password a", map[string]string{"size": "640x480"}}, wantTaken: state{"garden", "a:password a", nil}},
		{name: "the same, and other settings were saved since",
			now: state{"porch", "b:password b", map[string]string{"fps": "7"}}, taken: state{"garden", "a:password a", map[string]string{"fps": "5"}},
			text: "hostname=garden\nwifi-ssid=a\nwifi-password=**********\nfps=5",
			want: state{"porch", "b:password b", map[string]string{"fps": "7"}}, wantTaken: state{"garden", "a:password a", map[string]string{"fps": "5"}}, secrets: 1},
		{name: "it was edited since, and what was saved stays beside it",
			now: state{"porch", "b:password b,a:password 2", map[string]string{"fps": "7", "size": "640x480"}}, taken: state{"garden", "a:password a", map[string]string{"fps": "5"}},
			text: "hostname=shed\nwifi-ssid=c\nwifi-password=password c\nwifi-ssid=a\nwifi-password=**********\nfps=9",
			want: state{"shed", "c:password c,a:password 2,b:password b", map[string]string{"fps": "9", "size": "640x480"}}, wantTaken: state{"shed", "c:password c,a:password a", map[string]string{"fps": "9"}}, secrets: 2},
		{name: "a network was taken out of the file",
			now: state{networks: "a:password a,b:password b"}, taken: state{networks: "a:password a,b:password b"},
			text: "wifi-ssid=b\nwifi-password=***",
			want: state{networks: "b:password b"}, wantTaken: state{networks: "b:password b"}, secrets: 1},
		{name: "a password is not kept any more",
			text:     "wifi-ssid=a\nwifi-password=***",
			problems: []string{`pushcam.txt, line 2: The password of "a" is not kept any more: write it again.`}},
		{name: "a network has two passwords",
			text: "wifi-ssid=a\nwifi-password=password a\nwifi-ssid=a\nwifi-password=password b\nwifi-ssid=a\nwifi-password=password a",
			want: state{networks: "a:password a"}, wantTaken: state{networks: "a:password a"}, secrets: 2,
			problems: []string{"pushcam.txt, line 4: This network has another password in pushcam.txt, line 2, and this one is left out."}},
		{name: "and the first of them was taken over",
			now: state{networks: "a:password a"}, taken: state{networks: "a:password a"},
			text: "wifi-ssid=a\nwifi-password=**********\nwifi-ssid=a\nwifi-password=password b\nwifi-ssid=a\nwifi-password=password a",
			want: state{networks: "a:password a"}, wantTaken: state{networks: "a:password a"}, secrets: 2,
			problems: []string{"pushcam.txt, line 4: This network has another password in pushcam.txt, line 2, and this one is left out."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSaid()
			if tt.text != "-" {
				s = read1(TextFile, []byte(tt.text))
			}
			got := s.merge(kept{Settings: tt.now.settings(t), Taken: tt.taken.settings(t)}, never)
			for _, flags := range []*map[string]string{&got.Settings.Flags, &got.Taken.Flags} {
				if len(*flags) == 0 {
					*flags = nil
				}
			}
			if diff := cmp.Diff(kept{Settings: tt.want.settings(t), Taken: tt.wantTaken.settings(t)}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			var problems []string
			for _, p := range s.problems {
				problems = append(problems, p.String())
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if len(s.secrets) != tt.secrets {
				t.Errorf("%d secrets are taken over, not %d", len(s.secrets), tt.secrets)
			}
		})
	}
}

func TestMergePassword(t *testing.T) {
	var owner string // the owner's password
	is := func(password string) bool { return password == owner }
	var k kept
	for _, tt := range []struct {
		name, text, change string
		want               string // the new password
		secrets, problems  int
	}{
		{"the first time", "password=tulip and rose", "", "tulip and rose", 1, 0},
		{"it could not be blanked", "password=tulip and rose", "", "", 1, 0},
		{"the owner has another since", "password=tulip and rose", "daffodil 2", "", 1, 0},
		{"blanked", "password=**************", "", "", 1, 0},
		{"written again", "password=tulip and fern", "", "tulip and fern", 1, 0},
		{"nothing", "fps=3", "", "", 0, 0},
		{"two", "password=tulip and fern\npassword=other password\npassword=****", "", "", 2, 1},
		{"the owner's already", "password=daffodil 3", "daffodil 3", "", 1, 0},
	} {
		if tt.change != "" {
			owner = tt.change
		}
		s := read1(TextFile, []byte(tt.text))
		k = s.merge(k, is)
		got := k.Settings.Password
		if tt.want == "" && got != "" || tt.want != "" && !isPassword(got, tt.want) {
			t.Errorf("%s: the new password is not %q", tt.name, tt.want)
		}
		if len(s.secrets) != tt.secrets || len(s.problems) != tt.problems {
			t.Errorf("%s: %d secrets, %v", tt.name, len(s.secrets), s.problems)
		}
		if got != "" {
			owner = tt.want
		}
		k.Settings.Password = "" // keep does that
	}
	if !isPassword(k.Taken.Password, "daffodil 3") || k.Settings.Password != "" {
		t.Errorf("%+v", k)
	}
}

// The viewers' password is kept as a hash, as it was last written.
func TestMergeViewerPassword(t *testing.T) {
	var k kept
	for _, tt := range []struct {
		name, text, want  string
		secrets, problems int
	}{
		{"none", "fps=3", "", 0, 0},
		{"blanked, and not kept", "viewer-password=****", "", 1, 1},
		{"the first time", "viewer-password=look and see\nviewing=closed", "look and see", 1, 0},
		{"blanked", "viewer-password=************", "look and see", 1, 0},
		{"it could not be blanked", "Viewer Password: look and see", "look and see", 1, 0},
		{"nothing", "fps=3", "look and see", 0, 0},
		{"too short", "viewer-password=look", "look and see", 0, 1},
		{"another", "viewer-password=see and look", "see and look", 1, 0},
	} {
		s := read1(TextFile, []byte(tt.text))
		k = s.merge(k, func(string) bool { return false })
		if got := k.Settings.ViewerPassword; tt.want == "" && got != "" || tt.want != "" && !isPassword(got, tt.want) {
			t.Errorf("%s: %q is not the hash of %q", tt.name, got, tt.want)
		}
		if len(s.secrets) != tt.secrets || len(s.problems) != tt.problems || s.flags["viewer-password"] != "" || k.Settings.Password != "" {
			t.Errorf("%s: %d secrets, %v", tt.name, len(s.secrets), s.problems)
		}
	}
}

func TestReport(t *testing.T) {
	want := "\uFEFFHow pushcam went when it was last switched on. What you write here does not count.\r\n\r\n" +
		"It is Grünes Haus.\r\n\r\nWhat to mend:\r\n- pushcam.txt, line 3: No.\r\n- All of it.\r\n"
	r := Report{Lines: []string{"It is Grünes Haus."}, Problems: []Problem{{TextFile, 3, "No."}, {Text: "All of it."}}}
	if diff := cmp.Diff(want, r.Text()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text := (Report{}).Text(); !strings.Contains(text, "nothing more is known yet") || !strings.Contains(text, "Nothing is wrong") {
		t.Errorf("an empty one: %q", text)
	}
}
