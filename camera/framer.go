package camera

import (
	"bytes"
	"time"
)

// Belief in a camera that never sends EOI.
const (
	// believeAfter is for how long it must have sent nothing but pictures of
	// which EOI alone was missing.
	believeAfter = 5 * time.Second
	// doubtInterval is between two looks at whether that still is so.
	doubtInterval = time.Second
)

// EOIAdded is what Format.Adjusted says of a camera that never sends EOI.
const EOIAdded = "its pictures come without their end (EOI), which is added"

// NewFrame makes a Frame of the JPEG in src, which it neither keeps nor changes,
// or says why it cannot: the frame is nil exactly when the kind is not empty.
// captured becomes the frame's Time.
//
// The picture is the first whole one in src; a beginning that another SOI cuts
// off, and other bytes before it, are passed over. What drivers leave after its
// EOI, zero padding or the end of an older picture, is cut.
//
// The copy is a JPEG that strict readers understand. What does not belong there
// is left out: bytes between segments, and segments that nobody needs and that
// hold SOI or EOI, as thumbnails do. What is missing is put in: the standard
// Huffman tables, as many UVC webcams send none ("AVI1" frames) and Safari and
// others do not have them built in; and EOI, if the entropy-coded data are all
// there.
//
// The structure is checked as far as a viewer needs it to show the picture. Of a
// picture that has its EOI the entropy-coded bits themselves are not decoded,
// and the order of restart markers is left to decoders, which resynchronise.
func NewFrame(src []byte, captured time.Time) (*Frame, DropKind) {
	var f Framer
	return f.Frame(src, captured)
}

// A Framer makes frames of what one camera sends, and learns whether it never
// sends EOI. It is used by one goroutine at a time. Its zero value is ready.
type Framer struct {
	since  time.Time // capture of the first of the pictures without EOI that came one after another
	walked time.Time // capture of the last of them that was decoded
}

// Frame is like NewFrame, but need not decode each picture of a camera that
// never sends EOI.
func (f *Framer) Frame(src []byte, captured time.Time) (*Frame, DropKind) {
	var p scannedJPEG
	kind := p.scan(src)
	for kind != "" {
		next := bytes.Index(src[p.end:], pictureStart)
		if next < 0 {
			break
		}
		src = src[p.end+next:]
		p = scannedJPEG{}
		kind = p.scan(src)
	}
	return f.make(&p, kind, src, captured)
}

// make makes a frame of what was scanned of src.
func (f *Framer) make(p *scannedJPEG, kind DropKind, src []byte, captured time.Time) (*Frame, DropKind) {
	if kind == "" {
		f.since = time.Time{}
		return p.frame(src, captured), ""
	}
	if kind == DropTruncated && p.noEOI && p.addEOI(src) {
		frame, doubtful := p.frame(src, captured), f.doubts(captured)
		if doubtful {
			f.walked = captured
		}
		if !doubtful || entropyWhole(frame.JPEG) {
			if f.since.IsZero() {
				f.since = captured
			}
			return frame, ""
		}
	}
	f.since = time.Time{}
	return nil, kind
}

// doubts says whether a picture without EOI must be decoded to know that it is
// whole. That takes several times as long as the rest.
func (f *Framer) doubts(captured time.Time) bool {
	return !f.NoEOI(captured) || captured.Sub(f.walked) >= doubtInterval
}

// NoEOI says whether the camera is known, at the time now, never to send EOI.
func (f *Framer) NoEOI(now time.Time) bool {
	return !f.since.IsZero() && now.Sub(f.since) >= believeAfter
}

// maxEdits bounds the places at which a copy may differ from its picture. Of the
// pictures that were found in bug reports none has more than six.
const maxEdits = 12

// An edit puts the bytes of insert in the place of those from from to to.
type edit struct {
	from, to int
	insert   string
}

// replace notes an edit, which comes after all that were noted before.
func (p *scannedJPEG) replace(from, to int, insert string) {
	n := p.numEdits
	if 0 < n && n <= maxEdits && insert == "" && p.edits[n-1].insert == "" && p.edits[n-1].to == from {
		p.edits[n-1].to = to
		return
	}
	if n < maxEdits {
		p.edits[n] = edit{from, to, insert}
	}
	p.numEdits++ // whole refuses a picture with too many
}

// addEOI ends a picture that has none at the last byte that may be one of its
// own, and says whether it is whole then as far as its segments tell.
func (p *scannedJPEG) addEOI(src []byte) bool {
	end := p.end
	for end > p.segments && src[end-1] == 0 {
		end--
	}
	if src[end-1] == 0xff && end < p.end {
		end++ // FF 00 is an FF of the entropy-coded data
	}
	for end > p.segments && src[end-1] == 0xff { // half an EOI, or padding
		end--
	}
	p.replace(end, p.end, "\xff\xd9")
	return p.whole() == ""
}

// frame copies the picture out of src, which was scanned.
func (p *scannedJPEG) frame(src []byte, captured time.Time) *Frame {
	f := &Frame{Time: captured, Width: p.width, Height: p.height}
	size := p.end
	edits := p.edits[:p.numEdits]
	for _, e := range edits {
		size += len(e.insert) - (e.to - e.from)
	}
	if len(edits) == 0 {
		jpeg := make([]byte, size) // of a variable, with copy next: then Go does not clear it first
		copy(jpeg, src)
		f.JPEG = jpeg
		return f
	}
	jpeg := make([]byte, size)
	to, from := 0, 0
	for _, e := range edits {
		to += copy(jpeg[to:], src[from:e.from])
		to += copy(jpeg[to:], e.insert)
		from = e.to
	}
	copy(jpeg[to:], src[from:p.end])
	f.JPEG = jpeg
	return f
}
