package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pushcam/pushcam/gokrazy/device"
)

// What process 1 says of the card is in the log, in /state and on the LEDs, once each.
func TestCardWatch(t *testing.T) {
	root := device.Root(t.TempDir())
	for _, dir := range []string{"proc", device.RunDir} {
		if err := os.MkdirAll(root.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(root.Path(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("proc/uptime", "70.00 1.00\n")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var log strings.Builder
		var shown []bool
		w := &cardWatch{root: root, show: func(trouble bool) { shown = append(shown, trouble) }, log: slog.New(slog.NewTextHandler(&log, nil))}
		go w.run(ctx)
		says := func(json string, answers bool) cardState {
			t.Helper()
			if json != "" {
				write(device.RunDir+"/card.json", json)
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if w.answers() != answers {
				t.Errorf("after %q it answers: %v", json, w.answers())
			}
			return w.state()
		}
		says("", true) // nothing yet
		if s := says(`{"since":5,"count":0,"perm_bytes":7}`, true); s != (cardState{Answers: true, Perm: 7}) {
			t.Errorf("%+v", s)
		}
		s := says(`{"trouble":"the card does not answer","since":60,"count":1,"perm_bytes":7}`, false)
		if s.Answers || s.Seconds != 10 || s.Count != 1 || !strings.HasPrefix(s.Trouble, "the card does not answer: the picture goes on") {
			t.Errorf("%+v", s)
		}
		was := w.news()
		write("proc/uptime", "75.00 1.00\n")
		if now := w.news(); now != was || now.Trouble != s.Trouble {
			t.Errorf("the news are %+v, and were %+v", now, was)
		}
		write("proc/uptime", "70.00 1.00\n")
		says(`{"trouble":"the card`, false) // a file that is not whole is not believed
		if s := says(`{"since":660,"count":1,"perm_bytes":7}`, true); s != (cardState{Answers: true, Count: 1, Perm: 7}) {
			t.Errorf("%+v", s)
		}
		if diff := cmp.Diff([]bool{true, false}, shown); diff != "" {
			t.Errorf("on the LEDs (-want +got):\n%s", diff)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "answers again") || !strings.Contains(log.String(), "after=10m0s") {
			t.Errorf("the log:\n%s", &log)
		}
	})
}
