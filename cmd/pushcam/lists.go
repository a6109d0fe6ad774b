package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/pushcam/pushcam/gokrazy/update/signed"
	"github.com/pushcam/pushcam/pusher"
)

// list is a flag's value that may be several: by the flag again, or with commas.
type list struct {
	all   []string
	check func(string) (string, error) // returns what of one value is kept
}

func (l *list) String() string { return strings.Join(l.all, ",") }

func (l *list) Set(values string) error {
	for v := range strings.SplitSeq(values, ",") {
		v, err := l.check(strings.ToLower(strings.TrimSpace(v)))
		if err != nil {
			return err
		}
		l.all = append(l.all, v)
	}
	return nil
}

// keyList is a flag's value of keys, by the flag again or with commas.
type keyList []signed.Entry

func (l *keyList) String() string {
	var all []string
	for _, key := range *l {
		all = append(all, string(key.Key))
	}
	return strings.Join(all, ",")
}

func (l *keyList) Set(values string) error {
	for v := range strings.SplitSeq(values, ",") {
		key, err := signed.ParseEntry(strings.TrimSpace(v))
		if err != nil {
			return err
		}
		*l = append(*l, key)
	}
	return nil
}

func checkHost(name string) (string, error) {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" || strings.Trim(name, ".") == "" {
		return "", fmt.Errorf("a name is one as cam.example.org, without http:// and port, and not %q", name)
	}
	return strings.TrimSuffix(name, "."), nil
}

func checkOrigin(origin string) (string, error) {
	if origin == pusher.AnyOrigin {
		return origin, nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host {
		return "", fmt.Errorf("an origin is one as https://home.example:8123, without a path, and not %q", origin)
	}
	if strings.ContainsAny(origin, "; \t'\"") { // it becomes a part of a policy
		return "", fmt.Errorf("an origin has no such characters as %q", origin)
	}
	return origin, nil
}
