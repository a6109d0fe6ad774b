//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// Viewers see the frames of both of our own senders, in order and stamped.
func TestWatch(t *testing.T) {
	picture, err := newPicture(frameSize)
	if err != nil {
		t.Fatal(err)
	}
	question, ask := io.Pipe()
	answer, tell := io.Pipe()
	defer ask.Close()
	for name, serve := range map[string]func(context.Context, net.Listener) error{
		floor.name:  func(ctx context.Context, l net.Listener) error { return serveWritev(ctx, l, picture) },
		behind.name: func(ctx context.Context, l net.Listener) error { return serveCamera(ctx, l, picture, question, tell) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- serve(ctx, l) }()

			in, hangUp := io.Pipe()
			seenBy, out := io.Pipe()
			watched := make(chan error, 1)
			go func() {
				watched <- watching{Address: l.Addr().String(), Viewers: 3}.watch(ctx, in, out)
			}()
			lines := bufio.NewReader(seenBy)
			if port, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(port) == "" {
				t.Fatalf("ready: %q, %v", port, err)
			}
			if name == behind.name {
				h, err := askHeap(ask, answer)
				if err != nil || h.Objects == 0 || h.Frames == 0 {
					t.Errorf("heap %+v, %v", h, err)
				}
			}
			hangUp.Close()
			var seen []frames
			if err := gob.NewDecoder(lines).Decode(&seen); err != nil {
				t.Fatal(err)
			}
			if err := <-watched; err != nil {
				t.Error(err)
			}
			if len(seen) != 3 {
				t.Errorf("%d viewers, want 3", len(seen))
			}
			for i, all := range seen {
				last := int64(0)
				for _, f := range all {
					if f.Captured <= last || f.First < f.Captured || f.Last < f.First {
						t.Errorf("viewer %d: %+v behind one of %d", i, f, last)
					}
					last = f.Captured
				}
				if last == 0 {
					t.Errorf("viewer %d saw nothing", i)
				}
			}
			cancel()
			if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("the server ended with: %v", err)
			}
		})
	}
}

func TestWatchFails(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			io.WriteString(conn, "HTTP/1.0 404 Not Found\r\n\r\n")
			conn.Close()
		}
	}()
	err = watching{Address: l.Addr().String(), Viewers: 1}.watch(t.Context(), strings.NewReader(""), io.Discard)
	if !errors.Is(err, errNoFrame) || !strings.Contains(err.Error(), "404") {
		t.Errorf("a server without a stream: %v", err)
	}
}

func TestCellJobTravels(t *testing.T) {
	want := cellJob{Condition: conditions()[52], Plain: true, Dir: "dir"}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got cellJob
	if err := json.Unmarshal(b, &got); err != nil || got.Condition.String() != want.Condition.String() || got.Dir != "dir" || !got.Plain {
		t.Errorf("%+v, %v", got, err)
	}
}
