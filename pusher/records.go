package pusher

import (
	"encoding/binary"
	"net/http"
	"time"
)

// recordHead is what precedes a frame in a stream of records, which a page's script reads
// with fetch: the frame's length and its number, with 4 bytes each, and its capture time
// in microseconds of the Hub's clock, with 8 bytes, all in big endian. The number is 0 for
// a placeholder. A record of length 0 is no frame, and means nothing.
// One whose length has its highest bit set is news, in JSON, for who asks for them.
//
// Scripts cannot read multipart in Safari. And a picture's age needs a clock that does not
// jump when a Pi's has been set.
type recordHead [16]byte

// emptyRecord is sent when something has to be sent and there is no frame to send.
var emptyRecord = make([]byte, len(recordHead{}))

// contentType is that of a stream.
func contentType(records bool) string {
	if records {
		return "application/octet-stream"
	}
	return "multipart/x-mixed-replace; boundary=" + boundary
}

// clock is the time of the Hub's clock at t, in microseconds. It counts from when the Hub
// was made, and not while the computer sleeps.
func (h *Hub) clock(t time.Time) int64 { return t.Sub(h.began).Microseconds() }

// recordHead returns what precedes p's frame in a stream of records.
func (h *Hub) recordHead(p *part) (head recordHead) {
	binary.BigEndian.PutUint32(head[0:], uint32(len(p.frame.JPEG)))
	if !p.placeholder {
		binary.BigEndian.PutUint32(head[4:], uint32(p.frame.Seq))
	}
	binary.BigEndian.PutUint64(head[8:], uint64(max(h.clock(p.frame.Time), 0)))
	return head
}

// records answers with a stream of records.
func (s *Server) records(w http.ResponseWriter, r *http.Request) {
	s.serveStream(w, r, streamOptions{ctx: s.ctx, records: true, done: func() {}})
}
