package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pushcam/pushcam/pusher/pushertest"
)

const streamType = "multipart/x-mixed-replace; boundary=frame"

// grabbed is what the programs in testdata print when they get a stream.
const grabbed = "200 " + streamType + " --frame\n"

// Java's HttpURLConnection accepts text/html before pictures, whatever it is used for.
// It gets the stream.
func TestJava(t *testing.T) {
	extra(t)
	t.Parallel()
	need(t, "java")
	covers(t, "Java", "HttpURLConnection gets the stream, although it accepts text/html first")
	p := start(t, "-size", "320x240")
	said, _ := command(t, "java", filepath.Join("testdata", "Grab.java"), p.url+"/stream", p.url+"/stream.mjpg", p.url+"/?action=stream")
	if want := strings.Repeat(grabbed, 3); string(said) != want {
		t.Errorf("Java got:\n%swant:\n%s", said, want)
	}
}

// axiosVersion is what npm installs.
const axiosVersion = "1.21.1"

// axios accepts application/json first, whatever it is used for. It gets the stream.
func TestAxios(t *testing.T) {
	extra(t)
	t.Parallel()
	need(t, "node", "npm")
	covers(t, "axios", axiosVersion+" in Node gets the stream, although it accepts application/json first")
	dir := t.TempDir()
	command(t, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "axios@"+axiosVersion)
	script, err := os.ReadFile(filepath.Join("testdata", "axios.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "axios.mjs") // node looks for packages beside it
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "-size", "320x240")
	said, _ := command(t, "node", path, p.url+"/stream", p.url+"/stream.mjpg", p.url+"/?action=stream")
	if want := strings.Repeat(grabbed, 3); string(said) != want {
		t.Errorf("axios got:\n%swant:\n%s", said, want)
	}
}

// Home Assistant's MJPEG IP Camera asks by aiohttp, and OctoPrint's time lapse by requests.
func TestHomes(t *testing.T) {
	extra(t)
	t.Parallel()
	covers(t, "aiohttp and requests", "the requests of Home Assistant and OctoPrint get stream and snapshot")
	p := start(t, "-size", "320x240")
	const picture = "200 image/jpeg ffd8 ffd9\n"
	said, _ := command(t, "/usr/bin/python3", filepath.Join("testdata", "embed.py"), p.url+"/stream?advance_headers=1", p.url+"/snapshot.jpg")
	if want := grabbed + picture + picture; string(said) != want {
		t.Errorf("they got:\n%swant:\n%s", said, want)
	}
}

// Text browsers accept hardly anything but text/html, and hand a stream to another
// program.
func TestTextBrowsers(t *testing.T) {
	extra(t)
	t.Parallel()
	p := start(t, "-size", "320x240")
	for client, args := range map[string][]string{"w3m": {"-dump_head"}, "lynx": {"-head", "-dump"}} {
		t.Run(client, func(t *testing.T) {
			covers(t, client, "is told that /stream is a stream, although it accepts text/html first")
			head, _ := command(t, client, append(args, p.url+"/stream")...)
			if !bytes.Contains(head, []byte(streamType)) {
				t.Errorf("%s got:\n%s", client, head)
			}
		})
	}
}

// nc closes its side of the connection behind the request, as some NVRs do, and
// waits for the answer (RFC 9112, 9.6).
func TestHalfClosedClient(t *testing.T) {
	extra(t)
	t.Parallel()
	need(t, "bash", "nc")
	p := start(t, "-size", "320x240")
	const send = `printf 'GET %s HTTP/1.1\r\nHost: pushcam.local\r\nConnection: close\r\n\r\n' "$1" | nc -N 127.0.0.1 "$2" | head -c "$3"`
	t.Run("snapshot", func(t *testing.T) {
		covers(t, "nc", "-N, which closes its side behind the request, gets a snapshot")
		answer, _ := command(t, "bash", "-c", send, "bash", "/snapshot", p.port, "1000000")
		head, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasPrefix(body, []byte("\xff\xd8")) || !bytes.HasSuffix(body, []byte("\xff\xd9")) {
			t.Errorf("%d bytes behind\n%s", len(body), head)
		}
	})
	t.Run("stream", func(t *testing.T) {
		covers(t, "nc", "-N gets a stream of a picture every 3 s")
		// Three pictures are more than this many bytes, after which nc is ended.
		answer, _ := command(t, "bash", "-c", send, "bash", "/stream?fps=0.33", p.port, "60000")
		s, err := pushertest.NewStreamReader(bytes.NewReader(answer))
		if err != nil {
			t.Fatal(err)
		}
		readFrames(t, s, 2)
	})
}
