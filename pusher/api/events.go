package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// Events tells all who listen what happens, as server-sent events (WHATWG HTML, 9.2). Who
// reads slowly is not waited for, and holds no more than queueLength events.
type Events struct {
	// State is told as the event state: to who begins to listen, and when it is another
	// one than a second before. It is called only while somebody listens.
	State func() any
	// Viewers is told as the event viewers, likewise, to those who ask for it.
	Viewers func() any
	// Version is that of the settings, which is told to who begins to listen: they may have
	// been changed since it listened before. So is that controls may have been.
	Version func() string

	mu        sync.Mutex
	listeners map[*listener]struct{}
}

const (
	maxListeners = 16
	queueLength  = 64
	// maxLine bounds a line of the log that is told, in bytes.
	maxLine   = 1 << 10
	lookEvery = time.Second
	// beatEvery is how often the event beat comes. A connection that only the camera knows to
	// be dead, as after it was out of its network, tells a browser nothing: what is missing
	// does.
	beatEvery = 5 * time.Second
)

// errOver ends who reads so slowly that it has missed something, or gave its place away.
var errOver = errors.New("it may begin anew")

// listener is one who listens. Of an event that says how something is, only the newest is
// held; events that each count are in a queue.
type listener struct {
	language *words.Language
	wants    map[string]bool // what is told only to who asks for it
	wake     chan struct{}   // holds one when there is something
	newest   map[string][]byte
	queue    [][]byte
	since    time.Time
	over     bool // the queue was full, and an event is lost; or it has given its place away
}

// optional are the events that are told only to who asks for them with NAME=1.
var optional = []string{"log", "viewers"}

// Log tells a line of the log. It takes a copy, and never waits.
func (e *Events) Log(line []byte) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	e.queue("log", map[string]string{"line": string(line[:min(len(line), maxLine)])})
}

// Button tells that the button is pressed, or is not any more. It never waits.
func (e *Events) Button(pressed bool) { e.queue("button", map[string]bool{"pressed": pressed}) }

// Settings tells the settings' version. It never waits.
func (e *Events) Settings(version string) { e.tell("settings", versionOf(version)) }

func versionOf(settings string) any { return map[string]string{"version": settings} }

// Controls tells that controls of the camera were set. It never waits.
func (e *Events) Controls() { e.tell("controls", struct{}{}) }

// encode writes an event. JSON has no ends of lines in it.
func encode(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		text = []byte("null") // of what cannot be written, nobody is told more
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, text)
}

// each calls do for those who want an event, with the event, if there is anybody.
func (e *Events) each(name string, data any, do func(*listener, []byte)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var event []byte
	said := make(map[*words.Language][]byte)
	for l := range e.listeners {
		if wanted, isOptional := l.wants[name]; isOptional && !wanted {
			continue
		}
		if event == nil {
			event = encode(name, data)
		}
		if said[l.language] == nil {
			said[l.language] = l.language.JSON(event)
		}
		do(l, said[l.language])
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func (e *Events) queue(name string, data any) {
	e.each(name, data, func(l *listener, event []byte) {
		if l.over = l.over || len(l.queue) >= queueLength; !l.over {
			l.queue = append(l.queue, event)
		}
	})
}

func (e *Events) tell(name string, data any) {
	e.each(name, data, func(l *listener, event []byte) { l.newest[name] = event })
}

// take is what there is to tell to a listener, in the order of names of those of which only
// the newest is held; false if it is over.
func (e *Events) take(l *listener) (events []byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range []string{"state", "settings", "controls", "viewers"} {
		events = append(events, l.newest[name]...)
	}
	events = append(events, bytes.Join(l.queue, nil)...)
	clear(l.newest)
	l.queue = nil
	return events, !l.over
}

// wanted tells whether somebody listens, and whether for viewers.
func (e *Events) wanted() (any, viewers bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.listeners {
		viewers = viewers || l.wants["viewers"]
	}
	return len(e.listeners) > 0, viewers
}

// Run looks whether the state has changed, until ctx is done.
func (e *Events) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var state, viewers []byte
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		somebody, ofViewers := e.wanted()
		if somebody {
			state = e.tellNew("state", e.State, state)
		}
		if ofViewers && n%2 == 0 {
			viewers = e.tellNew("viewers", e.Viewers, viewers)
		}
	}
}

// tellNew tells what is now, if that is not what was.
func (e *Events) tellNew(name string, what func() any, was []byte) []byte {
	data := what()
	now := encode(name, data)
	if !bytes.Equal(now, was) {
		e.tell(name, data)
	}
	return now
}

// listen adds a listener. Of too many the oldest gives its place away: it may have vanished,
// and else it begins anew.
func (e *Events) listen(r *http.Request, language *words.Language) *listener {
	l := &listener{language: language, since: time.Now(), wants: make(map[string]bool), wake: make(chan struct{}, 1), newest: make(map[string][]byte)}
	for _, name := range optional {
		l.wants[name] = r.URL.Query().Get(name) == "1"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.listeners) >= maxListeners {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(e.listeners)), func(a, b *listener) int { return a.since.Compare(b.since) })
		delete(e.listeners, oldest)
		oldest.over = true
		select {
		case oldest.wake <- struct{}{}:
		default:
		}
	}
	if e.listeners == nil {
		e.listeners = make(map[*listener]struct{})
	}
	e.listeners[l] = struct{}{}
	return l
}

func (e *Events) leave(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.listeners, l)
}

// ServeHTTP tells what happens until the request ends, the reader is so slow that it has
// missed something, or others have come: then it asks again, as a browser does by itself.
func (e *Events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !Allows(w, r, http.MethodGet) {
		return
	}
	l := e.listen(r, words.For(w, r))
	defer e.leave(l)
	w.Header().Set("Content-Type", "text/event-stream")
	first := encode("state", e.State())
	if l.wants["viewers"] {
		first = append(first, encode("viewers", e.Viewers())...)
	}
	first = append(first, encode("settings", versionOf(e.Version()))...)
	first = append(first, encode("controls", struct{}{})...)
	if err := send(w, l.language.JSON(first)); err != nil {
		return // the reader has left
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-l.wake:
			events, ok := e.take(l)
			if err = send(w, events); err == nil && !ok {
				err = errOver
			}
		case <-beat.C:
			err = send(w, encode("beat", struct{}{}))
		case <-r.Context().Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func send(w http.ResponseWriter, events []byte) error {
	if _, err := w.Write(events); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
