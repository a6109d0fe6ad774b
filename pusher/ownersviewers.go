package pusher

import (
	"net/http"
	"strings"
)

// Viewers are all who watch, with their addresses, as JSON for the owner.
func (s *Server) Viewers() any {
	all, _ := s.viewerStates("", true)
	return all
}

// Watching is how many watch.
func (s *Server) Watching() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.viewers)
}

// drop ends the stream of the viewer at an address, or those of all at an address without a
// port, and returns how many there were. They may come again.
func (s *Server) drop(at string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.viewers {
		if v.address == at || v.from.String() == at {
			v.cancel()
			n++
		}
	}
	return n
}

// ownersViewers answers the owner with who watches, and ends the stream of one.
func (s *Server) ownersViewers(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		writeJSON(w, http.StatusOK, map[string]any{"viewers": s.Viewers()})
	case http.MethodDelete:
		at := strings.TrimSpace(r.URL.Query().Get("address"))
		if s.drop(at) == 0 {
			fail(w, r, http.StatusNotFound, "Nobody watches from %.64q; GET lists who does", at)
			return
		}
		s.Log.Info("the owner has ended a stream", "viewer", at)
		w.WriteHeader(http.StatusNoContent)
	default:
		const allow = "GET, HEAD, DELETE"
		w.Header().Set("Allow", allow)
		fail(w, r, http.StatusMethodNotAllowed, "%s takes %s, not %s", r.URL.Path, allow, r.Method)
	}
}
