package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pushcam/pushcam/gokrazy/discovery"
	"github.com/pushcam/pushcam/gokrazy/update"
)

const tokensPath = "/api/tokens"

func (p *program) token(fs *flag.FlagSet) func(context.Context, []string) error {
	var (
		name   = fs.String("make", "", "make a token with this `name`, by which you know it again, and show it")
		revoke = fs.String("revoke", "", "revoke the token with this `name`, which ends what is watched with it")
		given  = passwordFlag(fs)
		trust  = newTrustFlags(fs)
	)
	return func(ctx context.Context, operands []string) error {
		const help = "pushcamctl token -h"
		if len(operands) == 0 {
			return p.misused(errors.New("which pushcam? Give its name or address; pushcamctl find lists them"), help)
		}
		if *name != "" && *revoke != "" {
			return p.misused(errors.New("-make and -revoke are done one after the other"), help)
		}
		cam, err := parseRemote(operands[0])
		if err != nil {
			return p.misused(err, help)
		}
		if err := p.owner(cam, given, trust); err != nil {
			return err
		}
		tokens, err := cam.tokens(ctx)
		if err != nil {
			return err
		}
		switch {
		case *name != "":
			return p.makeToken(ctx, cam, *name)
		case *revoke != "":
			return p.revokeToken(ctx, cam, *revoke, tokens)
		case len(tokens) == 0:
			fmt.Fprintf(p.stdout, "%s has no tokens; make one with: %s\n", cam, p.command("token", "-make", "recorder", cam.String()))
		}
		for _, t := range tokens {
			fmt.Fprintf(p.stdout, "%s  %s\n", t.Made.Local().Format("2006-01-02 15:04"), discovery.Printable(t.Name))
		}
		return nil
	}
}

// remoteToken is a token as a camera lists it: without its secret, which it does not know.
type remoteToken struct {
	Name string    `json:"name"`
	Made time.Time `json:"made"`
}

// tokens are those that the camera has.
func (c *remote) tokens(ctx context.Context) ([]remoteToken, error) {
	resp, err := c.Get(ctx, tokensPath)
	if err != nil {
		return nil, err
	}
	var said struct {
		Tokens []remoteToken `json:"tokens"`
	}
	return said.Tokens, c.decode(resp, &said, "tokens")
}

func (p *program) makeToken(ctx context.Context, cam *remote, name string) error {
	form := url.Values{"name": {name}}.Encode()
	resp, err := cam.Send(ctx, update.Request{
		Method: http.MethodPost, Path: tokensPath, Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		Body: strings.NewReader(form), Size: int64(len(form)),
	}, answerTimeout)
	if err != nil {
		return err
	}
	var made struct {
		Token string `json:"token"`
	}
	if err := cam.decode(resp, &made, "tokens"); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The token %s is made, and shown this once: %s\nWhile viewing is closed, a program that takes only a URL looks with it at:\n  %s\n", name, discovery.Printable(made.Token), cam.page("/stream?token="+url.QueryEscape(made.Token)))
	return nil
}

// page is a URL of the camera's, for people and programs.
func (c *remote) page(path string) string {
	host := c.name
	switch {
	case host == "":
		host = c.address.String()
	case !strings.Contains(host, "."):
		host += ".local"
	}
	switch {
	case c.pagePort != "" && c.pagePort != plainPort:
		host = net.JoinHostPort(host, c.pagePort)
	case c.address.Is6():
		host = "[" + host + "]"
	}
	return "http://" + host + path
}

func (p *program) revokeToken(ctx context.Context, cam *remote, name string, all []remoteToken) error {
	if !slices.ContainsFunc(all, func(t remoteToken) bool { return t.Name == name }) {
		return fmt.Errorf("%s has no token %q; %s lists those that it has", cam, name, p.command("token", cam.String()))
	}
	resp, err := cam.Send(ctx, update.Request{Method: http.MethodDelete, Path: tokensPath + "?" + url.Values{"name": {name}}.Encode()}, answerTimeout)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The token %s is revoked, and what was watched with it is over\n", name)
	return resp.Body.Close()
}
