package pusher

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// snapshot answers with a frame that was captured after the request came, because
// OctoPrint and Home Assistant move something and then want to see it moved.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	asked := time.Now()
	// The request's context would not do: it ends when the client closes its sending
	// side, and a client may do that behind its request and wait for the answer (nc, some
	// NVRs; RFC 9112, 9.6). For a client that has left altogether this goes on in vain,
	// for snapshotTimeout at most.
	ctx, cancel := context.WithTimeout(s.ctx, snapshotTimeout)
	defer cancel()
	by := passOf(r)
	if by != nil {
		defer context.AfterFunc(by.ctx, cancel)()
	}

	p, leave := s.Hub.watch()
	defer leave()
	wait := newWaiter(nil)
	for p.frame == nil || p.placeholder || p.frame.Time.Before(asked) {
		if p, why := s.Hub.currentPlaceholder(); why != nil {
			if p.frame == nil {
				busy(w, r, "%v", why)
				return
			}
			w.Header().Set("Retry-After", "5")
			w.Header().Set("X-Error", why.Error())
			s.writeFrame(w, http.StatusServiceUnavailable, p)
			return
		}
		wait.last = p.n
		if !s.Hub.park(ctx, &wait) {
			switch {
			case s.ctx.Err() != nil:
				busy(w, r, "The camera's program is being ended")
				return
			case by != nil && by.ctx.Err() != nil:
				fail(w, r, http.StatusForbidden, "The camera was closed meanwhile, or what this request came with is good no more")
				return
			}
			busy(w, r, "The camera gave no picture within %v", snapshotTimeout)
			return
		}
		p = s.Hub.newest.Load()
	}
	w.Header().Set("X-Timestamp", string(appendUnixMicro(nil, p.frame.Time)))
	w.Header().Set("X-Frame", strconv.FormatUint(p.frame.Seq, 10))
	w.Header().Set("Last-Modified", p.frame.Time.UTC().Format(http.TimeFormat))
	s.writeFrame(w, http.StatusOK, p)
}

// writeFrame answers with a part's frame. It fails if the client has left, or takes so
// long that others need the memory.
func (s *Server) writeFrame(w http.ResponseWriter, code int, p *part) {
	var h hold
	s.frames.take(&h, p, func() { http.NewResponseController(w).SetWriteDeadline(time.Now()) })
	defer s.frames.give(&h)
	w.Header().Del("Content-Security-Policy") // browsers put a picture into a page of their own, and style that
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(p.frame.JPEG)))
	w.WriteHeader(code)
	w.Write(p.frame.JPEG)
}

// healthz says whether a viewer would see the camera. While viewing is closed it does not say
// why not, because everybody may ask.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if err := s.Camera.Health(); err != nil {
		why := Public(err.Error())
		if !s.isOpen() {
			why = "There is no picture"
		}
		fail(w, r, http.StatusServiceUnavailable, "%s", why)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}

// licenses answers with the licences of what the program is delivered with.
func (s *Server) licenses(w http.ResponseWriter, r *http.Request) {
	if s.Licenses == nil {
		fail(w, r, http.StatusNotFound, "There are no licences here: they are on the image of a card, and with the source")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(s.Licenses)))
	w.Write(s.Licenses) // a client that is gone has nobody to tell
}

// frameState is the part of /state about the last frame, and viewerState the part about
// a viewer. Ages are in milliseconds since the frame's capture.
type frameState struct {
	Seq    uint64  `json:"seq"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Bytes  int     `json:"bytes"`
	AgeMS  float64 `json:"age_ms"`
}

type viewerState struct {
	Address string  `json:"address,omitempty"` // for the owner only
	Name    string  `json:"name,omitempty"`    // it gave itself with ?name=
	Session bool    `json:"session"`           // belongs to a push session
	Seconds float64 `json:"seconds"`           // since it came
	Sent    uint64  `json:"frames_sent"`
	Skipped uint64  `json:"frames_skipped"`
	Bytes   uint64  `json:"bytes"`
	AgeMS   float64 `json:"age_ms"`          // when it was handed to the kernel
	Rate    int64   `json:"link_bits_per_s"` // at its peak lately; 0 is not known
	RTTMS   float64 `json:"link_rtt_ms"`     // without a queue; 0 is not known
}

// pageSections are the sections of Server.State that the page shows.
var pageSections = [...]string{"camera", "card", "settings", "update"}

// ownersState answers the owner as JSON with everything that is known.
func (s *Server) ownersState(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, r, http.StatusMethodNotAllowed, "%s takes GET, HEAD, not %s", r.URL.Path, r.Method)
		return
	}
	all := s.everything(true)
	for name, section := range s.OwnersState {
		all[name] = section()
	}
	writeSpokenJSON(w, r, all)
}

// everything is the whole state, with the addresses of viewers or without.
func (s *Server) everything(addresses bool) map[string]any {
	viewers, watching := s.viewerStates("", addresses)
	now := time.Now()
	all := map[string]any{
		"frame": s.frameState(), "viewers": viewers, "watching": watching, "clock_us": s.Hub.clock(now), "time": unixTime(now),
		"sessions": s.sessions.count(), "uptime_s": time.Since(s.started).Seconds(),
	}
	for name, section := range s.State {
		all[name] = section()
	}
	return all
}

// unixTime is the clock that X-Timestamp shows, as a JSON number of seconds since 1970. A
// relay compares it with its own.
func unixTime(now time.Time) json.RawMessage { return appendUnixMicro(nil, now) }

// frameState is the section about the last frame; nil if there is none.
func (s *Server) frameState() any {
	f := s.Hub.lastFrame()
	if f == nil {
		return nil
	}
	return frameState{f.Seq, f.Width, f.Height, len(f.JPEG), milliseconds(time.Since(f.Time))}
}

// state answers as JSON: with everything that a viewer may know, or with what the page of
// the viewer NAME shows if it is asked with ?viewer=NAME. Pages that cannot read /frames ask
// so every second, so that answer must stay short however many viewers there are.
func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name, forPage := query.Get("viewer"), query.Has("viewer")
	if forPage && (name == "" || len(name) > maxName) {
		fail(w, r, http.StatusBadRequest, "viewer is the name of a stream as ?name= gave it to /stream, with 1 to %d bytes", maxName)
		return
	}
	if forPage {
		writePublicJSON(w, r, s.pageState(name))
		return
	}
	writePublicJSON(w, r, s.everything(false))
}

// pageState is what the page of the viewer with a name shows.
func (s *Server) pageState(name string) map[string]any {
	viewers, watching := s.viewerStates(name, false)
	now := time.Now()
	all := map[string]any{"frame": s.frameState(), "viewers": viewers, "watching": watching, "clock_us": s.Hub.clock(now), "time": unixTime(now)}
	for _, name := range pageSections {
		if section := s.State[name]; section != nil {
			all[name] = section()
		}
	}
	if len(viewers) == 0 {
		all["error"] = fmt.Sprintf("No open stream has the name %q; /state lists all viewers", name)
	}
	return all
}

// viewerStates returns the viewers that have the name, or all if it is empty, and
// how many there are in all.
func (s *Server) viewerStates(name string, addresses bool) (states []viewerState, watching int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	states = []viewerState{} // in JSON a list, also if it is empty
	for v := range s.viewers {
		if name != "" && v.name != name {
			continue
		}
		state := viewerState{
			Name:    v.name,
			Session: v.session,
			Seconds: time.Since(v.since).Seconds(),
			Sent:    v.sent.Load(),
			Skipped: v.skipped.Load(),
			Bytes:   v.bytes.Load(),
			AgeMS:   milliseconds(time.Duration(v.age.Load())),
			Rate:    8 * v.rate.Load(),
			RTTMS:   milliseconds(time.Duration(v.rtt.Load())),
		}
		if addresses {
			state.Address = v.address
		}
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b viewerState) int {
		return cmp.Or(-cmp.Compare(a.Seconds, b.Seconds), cmp.Compare(a.Name, b.Name))
	})
	return states, len(s.viewers)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
