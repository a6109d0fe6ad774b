package pusher

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/pushcam/pushcam/gokrazy/words"
)

// newsEvery is how often it is looked for news while somebody is told them.
const newsEvery = 500 * time.Millisecond

// isNews marks, in the length of a record, one that is not a frame but JSON.
const isNews = 1 << 31

// news is how the camera is, for those whose streams tell it: a page need not ask.
type news struct {
	text    []byte // JSON
	mu      sync.Mutex
	records map[*words.Language][]byte // as they are sent; nobody changes one
}

// in is the record with the news in a language.
func (n *news) in(l *words.Language) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.records[l] == nil {
		text := withoutFolders(l.JSON(n.text))
		record := binary.BigEndian.AppendUint32(nil, isNews|uint32(len(text)))
		record = append(record, make([]byte, len(recordHead{})-len(record))...)
		if n.records == nil {
			n.records = make(map[*words.Language][]byte)
		}
		n.records[l] = append(record, text...)
	}
	return n.records[l]
}

// tell makes n the news, and wakes those who wait for a part and are to be told.
func (h *Hub) tell(n *news) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news.Store(n)
	still := h.parked[:0]
	for _, w := range h.parked {
		if w.hears {
			w.wake <- struct{}{}
		} else {
			still = append(still, w)
		}
	}
	clear(h.parked[len(still):])
	h.parked = still
}

// untold is the news that w is to be told; nil if there are none.
func (h *Hub) untold(w *waiter) *news {
	if !w.hears {
		return nil
	}
	if n := h.news.Load(); n != w.told {
		return n
	}
	return nil
}

// tell sends the news.
func (v *viewer) tell(n *news) error {
	v.told = n
	return v.writeAside(n.in(v.language))
}

// lookForNews has the Hub tell how the camera is, if that is new.
func (s *Server) lookForNews() {
	all := map[string]any{"watching": s.Watching()}
	if s.News != nil {
		maps.Copy(all, s.News())
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	text, err := json.Marshal(all)
	if err != nil {
		s.Log.Error("the news cannot be written as JSON", "err", err)
		return
	}
	if old := s.Hub.news.Load(); old == nil || !bytes.Equal(old.text, text) {
		s.Hub.tell(&news{text: text})
	}
}

// reportNews looks for news until ctx is done.
func (s *Server) reportNews(ctx context.Context) {
	tick := time.NewTicker(newsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.hearers.Load() > 0 {
			s.lookForNews()
		}
	}
}

// clock answers with the time of the Hub's clock, by which a page knows how old a picture
// is, and with how many frames the viewer of its name was sent. Each open page asks every
// 10 s, because clocks drift.
func (s *Server) clock(w http.ResponseWriter, r *http.Request) {
	all := map[string]any{"clock_us": s.Hub.clock(time.Now())}
	if name := r.URL.Query().Get("viewer"); name != "" {
		if viewers, _ := s.viewerStates(name, false); len(viewers) > 0 {
			all["frames_sent"] = viewers[0].Sent
		}
	}
	writeJSON(w, http.StatusOK, all)
}
