package camera

import (
	"bytes"
	"time"
)

const (
	// believeAfter is how long a camera must send only pictures that lack nothing but
	// EOI until it counts as one that never sends EOI.
	believeAfter = 5 * time.Second
	// doubtInterval is how often it is checked then that nothing else is missing.
	doubtInterval = time.Second
)

// EOIAdded is what Format.Adjusted says of a camera that never sends EOI.
const EOIAdded = "its pictures come without their end (EOI), which is added"

// NewFrame makes a Frame of the JPEG in src, which it neither keeps nor changes. If it
// cannot, the frame is nil and the kind says why; else the kind is empty. captured
// becomes the frame's Time.
//
// The picture is the first whole one in src; a beginning that another SOI cuts
// off, and other bytes before it, are passed over. What drivers leave after its
// EOI, zero padding or the end of an older picture, is cut.
//
// The copy is a JPEG that strict readers understand. Bytes between segments are left
// out, and so are segments that nobody needs and that hold SOI or EOI, as thumbnails do.
// Missing standard Huffman tables are added, because many UVC webcams send none ("AVI1"
// frames), and Safari and others do not have them built in. A missing EOI is added if
// all entropy-coded data are there.
//
// The structure is checked as far as a viewer needs it to show the picture. The
// entropy-coded bits of a picture with EOI are not decoded, and the order of its restart
// markers is left to decoders, which resynchronise.
func NewFrame(src []byte, captured time.Time) (*Frame, DropKind) {
	var f Framer
	return f.Frame(src, captured)
}

// A Framer makes frames of what one camera sends, and learns whether it never
// sends EOI. It is used by one goroutine at a time. Its zero value is ready.
type Framer struct {
	since  time.Time // capture of the first picture since which none had an EOI
	walked time.Time // capture of the last picture without EOI whose data were decoded
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

// make makes a frame of src, of which p is the scan.
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

// doubts tells whether a picture without EOI has to be decoded to know that it is whole.
// Decoding takes several times as long as everything else.
func (f *Framer) doubts(captured time.Time) bool {
	return !f.NoEOI(captured) || captured.Sub(f.walked) >= doubtInterval
}

// NoEOI says whether the camera is known, at the time now, never to send EOI.
func (f *Framer) NoEOI(now time.Time) bool {
	return !f.since.IsZero() && now.Sub(f.since) >= believeAfter
}

// maxEdits bounds the places at which a copy may differ from its picture. No picture
// that was found in bug reports needs more than six.
const maxEdits = 12

// An edit replaces the bytes [from:to] by insert.
type edit struct {
	from, to int
	insert   string
}

// replace notes an edit. It must lie behind all that were noted before.
func (p *scannedJPEG) replace(from, to int, insert string) {
	n := p.numEdits
	if 0 < n && n <= maxEdits && insert == "" && p.edits[n-1].insert == "" && p.edits[n-1].to == from {
		p.edits[n-1].to = to
		return
	}
	if n < maxEdits {
		p.edits[n] = edit{from, to, insert}
	}
	p.numEdits++ // if these are more than maxEdits, whole refuses the picture
}

// addEOI puts EOI behind the last byte that may belong to the picture. It tells whether
// the picture is whole then, as far as its segments show.
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

// frame copies the picture out of src, of which p is the scan.
func (p *scannedJPEG) frame(src []byte, captured time.Time) *Frame {
	f := &Frame{Time: captured, Width: p.width, Height: p.height}
	size := p.end
	edits := p.edits[:p.numEdits]
	for _, e := range edits {
		size += len(e.insert) - (e.to - e.from)
	}
	if len(edits) == 0 {
		jpeg := make([]byte, size) // with a variable as size and copy as the next line, Go does not clear it first
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
