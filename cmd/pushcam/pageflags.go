package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pushcam/pushcam/pusher/api"
)

// pageFlag is a flag that the owner may set on the page as well.
type pageFlag struct {
	flag             string
	kind             api.Kind
	applies          api.Applies
	minimum, maximum *float64
	choices          []any
	// value is what a config has.
	value func(*config) any
	// text is a value as the flag takes it, if that is not as fmt prints it.
	text func(any) string
	// lacks says why there is no such setting with this config; "" if there is. May be nil.
	lacks func(*config) string
}

func bound(v float64) *float64 { return &v }

// duration is a number of seconds as a flag takes it.
func duration(seconds any) string {
	return time.Duration(seconds.(float64) * float64(time.Second)).String()
}

// ownSize says why the size of the pictures cannot be chosen.
func ownSize(c *config) string {
	switch c.source.kind {
	case "stream":
		return "the pictures come from another camera, which has its own settings"
	case "replay":
		return "a recording has its own size and format"
	}
	return ""
}

func ownRate(c *config) string {
	if c.source.kind == "stream" {
		return ownSize(c)
	}
	return ""
}

// ownEncoding says why there is no quality and no bit rate to choose.
func ownEncoding(c *config) string {
	if c.source.kind == "pattern" {
		return "the test pattern has none"
	}
	return ownSize(c)
}

var pageFlags = []pageFlag{
	{flag: "device", kind: api.String, applies: api.Stream, value: func(c *config) any { return c.device }, lacks: ownEncoding},
	{flag: "size", kind: api.String, applies: api.Stream, value: func(c *config) any { return c.size.String() }, lacks: ownSize},
	{flag: "fps", kind: api.Number, applies: api.Stream, minimum: bound(0.1), maximum: bound(1000), value: func(c *config) any { return c.fps }, lacks: ownRate},
	{flag: "format", kind: api.String, applies: api.Stream, choices: []any{"mjpg", "jpeg"}, value: func(c *config) any { return c.format }, lacks: ownEncoding},
	{flag: "idle-hold", kind: api.Number, applies: api.Live, minimum: bound(0), maximum: bound(86400), text: duration,
		value: func(c *config) any { return c.idleHold.Round(time.Millisecond).Seconds() }},
	{flag: "always-on", kind: api.Boolean, applies: api.Live, value: func(c *config) any { return c.alwaysOn }},
	{flag: "viewing", kind: api.String, applies: api.Live, choices: []any{"open", "closed"}, value: func(c *config) any { return c.viewing }},
	{flag: "led", kind: api.Boolean, applies: api.Live, value: func(c *config) any { return c.led }},
	{flag: "allow-host", kind: api.String, applies: api.Live, value: func(c *config) any { return c.allowHosts.String() }},
	{flag: "allow-origin", kind: api.String, applies: api.Live, value: func(c *config) any { return c.allowOrigins.String() }},
	{flag: "max-viewers", kind: api.Integer, applies: api.Live, minimum: bound(1), value: func(c *config) any { return c.maxViewers }},
	{flag: "viewer-timeout", kind: api.Number, applies: api.Live, minimum: bound(1), maximum: bound(3600), text: duration, value: func(c *config) any { return c.viewerTimeout.Seconds() }},
	{flag: "max-sessions", kind: api.Integer, applies: api.Live, minimum: bound(1), value: func(c *config) any { return c.maxSessions }},
	{flag: "session-frames", kind: api.Integer, applies: api.Live, minimum: bound(1), maximum: bound(100_000), value: func(c *config) any { return c.sessionFrames }},
	{flag: "session-timeout", kind: api.Number, applies: api.Live, minimum: bound(1), maximum: bound(3600), text: duration, value: func(c *config) any { return c.sessionTimeout.Seconds() }},
	{flag: "log-level", kind: api.String, applies: api.Live, choices: []any{"debug", "info", "warn", "error"}, value: func(c *config) any { return strings.ToLower(c.verbose.String()) }},
}

// name is what the setting is called in JSON.
func (f *pageFlag) name() string { return strings.ReplaceAll(f.flag, "-", "_") }

// asText is a value of the page's as the flag takes it.
func (f *pageFlag) asText(value any) string {
	switch v := value.(type) {
	case float64:
		if f.text != nil {
			return f.text(v)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// setting is the flag as it is with a config, and with no settings at all.
func (f *pageFlag) setting(c, defaults *config) api.Setting {
	s := api.Setting{
		Name: f.name(), Kind: f.kind, Value: f.value(c), Default: f.value(defaults), By: "default", Changeable: true,
		Applies: f.applies, Minimum: f.minimum, Maximum: f.maximum, Choices: f.choices,
	}
	if g, ok := c.given[f.flag]; ok {
		g.Value = f.asText(s.Value) // as the page has it: info, not INFO
		ruled(&s, g)
	}
	if f.lacks != nil {
		if why := f.lacks(c); why != "" {
			s.Changeable, s.Why = false, why
		}
	}
	return s
}

// ruled says what rules a setting.
func ruled(s *api.Setting, g given) {
	s.By = string(g.By)
	if g.By == bySettings {
		return
	}
	s.Changeable, s.Why = false, fmt.Sprintf("it is %s by %s", g.Value, g.By.called())
	if s.Set != nil { // a secret
		s.Why = "it is set by " + g.By.called()
	}
}
