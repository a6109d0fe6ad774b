package pusher

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readRecord is one record, as README.md says how to read it.
type readRecord struct {
	Number  uint32
	Capture time.Duration // on the camera's clock
	JPEG    string
}

func nextRecord(r io.Reader) (readRecord, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(r, head); err != nil {
		return readRecord{}, err
	}
	jpeg := make([]byte, binary.BigEndian.Uint32(head))
	_, err := io.ReadFull(r, jpeg)
	return readRecord{
		Number:  binary.BigEndian.Uint32(head[4:]),
		Capture: time.Duration(binary.BigEndian.Uint64(head[8:])) * time.Microsecond,
		JPEG:    string(jpeg),
	}, err
}

// openRecords opens a stream of records and reads its head.
func openRecords(t *testing.T, conn io.Reader) (http.Header, io.Reader) {
	t.Helper()
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 200 || answer.ContentLength != -1 || len(answer.TransferEncoding) > 0 {
		t.Fatalf("%+v", answer)
	}
	return answer.Header, answer.Body
}

// A page's script gets whole frames with their numbers and capture times, pictures that
// say why there is no camera with the number 0, and then the end of the connection.
func TestRecordsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		header, in := openRecords(t, r.request("GET", "/frames?name=page",
			"Accept: image/avif,image/webp,image/apng,image/svg+xml", "Sec-Fetch-Dest: image")) // for /stream a browser's <img>
		for name, want := range map[string]string{"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": ""} {
			if got := header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		expect := func(want readRecord) {
			t.Helper()
			got, err := nextRecord(in)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v; a record (-want +got):\n%s", err, diff)
			}
			synctest.Wait()
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		f := testFrame(5)
		f.Time = f.Time.Add(-40*time.Millisecond - time.Nanosecond)
		r.server.Hub.Publish(f)
		expect(readRecord{5, 2960*time.Millisecond - time.Microsecond, "\xff\xd8\x05\xff\xd9"})
		time.Sleep(resendAfter) // the camera is silent: the same again, with the same time
		expect(readRecord{5, 2960*time.Millisecond - time.Microsecond, "\xff\xd8\x05\xff\xd9"})
		time.Sleep(time.Millisecond)
		r.server.Hub.ShowPlaceholder(placeholderFrame(), errUnplugged, 5)
		expect(readRecord{0, 4001 * time.Millisecond, "\xff\xd8no camera\xff\xd9"})
		f = testFrame(6)
		f.Time = f.Time.Add(-time.Hour) // a camera that lies
		r.server.Hub.Publish(f)
		expect(readRecord{6, 0, "\xff\xd8\x06\xff\xd9"})
		go r.stop()
		if rec, err := nextRecord(in); err != io.EOF {
			t.Errorf("behind the last: %+v, %v; want the end", rec, err)
		}
	})
}

// Records are for the same viewers: they have a place, a name and a rate.
func TestRecordsViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *Server) { s.Limits = fixed(Limits{MaxViewers: 1}) })
		r.film()
		_, in := openRecords(t, r.request("GET", "/frames?name=page&fps=7"))
		began, frames := time.Now(), 0
		for time.Since(began) < 10*time.Second {
			if _, err := nextRecord(in); err != nil {
				t.Fatal(err)
			}
			frames++
		}
		if frames < 70 || frames > 72 {
			t.Errorf("%d frames in 10 s, want 7 a second", frames)
		}
		if a := r.do("GET", "/frames"); a.Code != 503 {
			t.Errorf("one too many gets %+v", a)
		}
		if states, _ := r.server.viewerStates("page", false); len(states) != 1 || states[0].Sent < 70 {
			t.Errorf("%+v", states)
		}
	})
}

// Scripts of other sites read what viewers can only if the owner has named these.
func TestRecordsForOtherOrigins(t *testing.T) {
	const site = "https://home.example"
	for _, named := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(s *Server) {
				if named {
					s.AllowOrigins = fixed([]string{site})
				}
			})
			header, _ := openRecords(t, r.request("GET", "/frames", "Origin: "+site))
			if got := header.Get("Access-Control-Allow-Origin"); (got == site) != named || !named && got != "" {
				t.Errorf("named: %v, Access-Control-Allow-Origin is %q", named, got)
			}
		})
	}
}
