//go:build linux

package portal

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

var discard = slog.New(slog.DiscardHandler)

func question(name string, kind dnsmessage.Type) dnsmessage.Message {
	return dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
}

func packed(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnswerName(t *testing.T) {
	page := dnsmessage.AResource{A: [4]byte{4, 3, 2, 1}}
	extended := question("captive.apple.com.", dnsmessage.TypeA)
	var about dnsmessage.ResourceHeader
	about.SetEDNS0(4096, 0, false)
	extended.Additionals = []dnsmessage.Resource{{Header: about, Body: &dnsmessage.OPTResource{}}}
	response, notify, none := question("a.", dnsmessage.TypeA), question("a.", dnsmessage.TypeA), question("a.", dnsmessage.TypeA)
	response.Response, notify.OpCode, none.Questions = true, 4, nil
	for _, c := range []struct {
		name  string
		query []byte
		code  dnsmessage.RCode
		want  dnsmessage.ResourceBody // nil: no record
		none  bool                    // no answer at all
	}{
		{"an address", packed(t, question("connectivitycheck.gstatic.com.", dnsmessage.TypeA)), 0, &page, false},
		{"any name", packed(t, question("Garden.LOCAL.", dnsmessage.TypeA)), 0, &page, false},
		{"everything", packed(t, question("a.", dnsmessage.TypeALL)), 0, &page, false},
		{"IPv6", packed(t, question("captive.apple.com.", dnsmessage.TypeAAAA)), 0, nil, false},
		{"HTTPS", packed(t, question("captive.apple.com.", 65)), 0, nil, false},
		{"the root", packed(t, question(".", dnsmessage.TypeNS)), 0, nil, false},
		{"with EDNS", packed(t, extended), 0, &page, false},
		{"no question", packed(t, none), dnsmessage.RCodeFormatError, nil, false},
		{"cut off", packed(t, question("a.", dnsmessage.TypeA))[:14], dnsmessage.RCodeFormatError, nil, false},
		{"a notification", packed(t, notify), dnsmessage.RCodeNotImplemented, nil, false},
		{"a response", packed(t, response), 0, nil, true},
		{"nothing", nil, 0, nil, true},
		{"a beginning", make([]byte, 11), 0, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := answerName(c.query)
			if c.none {
				if answer != nil {
					t.Errorf("answered %x", answer)
				}
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(answer); err != nil {
				t.Fatalf("%x: %v", answer, err)
			}
			if m.ID != 7 || !m.Response || m.RCode != c.code {
				t.Errorf("the header is %+v", m.Header)
			}
			var got dnsmessage.ResourceBody
			if len(m.Answers) > 0 {
				got = m.Answers[0].Body
				if m.Answers[0].Header.TTL != 0 || m.Answers[0].Header.Name != m.Questions[0].Name {
					t.Errorf("the record is %+v", m.Answers[0])
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever is asked, the answer is one, not much longer than the question, and names no
// address but the page's.
func FuzzAnswerName(f *testing.F) {
	f.Add(packed(f, question("connectivitycheck.gstatic.com.", dnsmessage.TypeA)))
	f.Add(packed(f, question(".", dnsmessage.TypeALL)))
	f.Add(packed(f, question("captive.apple.com.", 65)))
	f.Add([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}) // a name that is itself
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, query []byte) {
		if len(query) > maxQuery {
			return
		}
		answer := answerName(query)
		if answer == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil {
			t.Fatalf("%x: %v", answer, err)
		}
		if !m.Response || !bytes.Equal(answer[:2], query[:2]) || len(answer) > len(query)+300 || len(m.Answers) > 1 {
			t.Errorf("%d bytes are answered by %d: %+v", len(query), len(answer), m)
		}
		for _, r := range m.Answers {
			if a, ok := r.Body.(*dnsmessage.AResource); !ok || a.A != Address.Addr().As4() {
				t.Errorf("%+v", r)
			}
		}
	})
}
