package discovery

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/brutella/dnssd"
)

// peerEnv makes the test's binary a program of its own that speaks multicast DNS
// by dnssd alone, as "browse" or as "respond NAME PORT".
const peerEnv = "PUSHCAM_TEST_DNSSD"

// dnssdPeer is that program. It says what happens on standard output, a line
// each, until it is ended.
func dnssdPeer() bool {
	kind, rest, _ := strings.Cut(os.Getenv(peerEnv), " ")
	var err error
	switch kind {
	case "":
		return false
	case "browse":
		err = dnssd.LookupType(context.Background(), "_pushcam._tcp.local.",
			func(e dnssd.BrowseEntry) { fmt.Println("found", e.Host, e.Port) },
			func(e dnssd.BrowseEntry) { fmt.Println("lost", e.Host) })
	case "respond":
		err = dnssdRespond(rest)
	}
	fmt.Println("ended:", err)
	return true
}

func dnssdRespond(args string) error {
	s := dnssd.Service{Type: pushcamService, Domain: domain}
	if _, err := fmt.Sscan(args, &s.Name, &s.Port); err != nil {
		return err
	}
	s.Host = s.Name
	r, err := dnssd.NewResponder()
	if err != nil {
		return err
	}
	if _, err := r.Add(s); err != nil {
		return err
	}
	return r.Respond(context.Background())
}
