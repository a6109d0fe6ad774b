package main

import (
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLogFilter(t *testing.T) {
	b := newLogbook()
	log := slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Debug("small talk")
	log.Info("camera FOUND")
	log.Warn("level=ERROR is only in the text")
	log.Error("lost")
	b.Write([]byte("panic: no time and no level\n"))
	now := time.Now()
	for _, tt := range []struct {
		query url.Values
		want  string // first words of messages
	}{
		{url.Values{}, "small camera level lost panic"},
		{url.Values{"level": {"info"}}, "camera level lost panic"},
		{url.Values{"level": {"error"}}, "lost panic"},
		{url.Values{"q": {"found"}}, "camera"},
		{url.Values{"since": {now.Add(-time.Hour).Format(time.RFC3339)}, "level": {"WARN"}}, "level lost panic"},
		{url.Values{"since": {now.Add(time.Hour).Format(time.RFC3339)}}, "panic"},
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest("GET", "/api/log?"+tt.query.Encode(), nil))
		var got []string
		for line := range strings.Lines(w.Body.String()) {
			_, message, ok := strings.Cut(line, "msg=")
			if !ok {
				message = line
			}
			got = append(got, strings.FieldsFunc(message, func(r rune) bool { return r < 'a' || r > 'z' })[0])
		}
		if strings.Join(got, " ") != tt.want || w.Code != 200 {
			t.Errorf("%v: %d %v, want %s", tt.query, w.Code, got, tt.want)
		}
	}
	for _, query := range []string{"level=loud", "since=yesterday"} {
		w := httptest.NewRecorder()
		if b.ServeHTTP(w, httptest.NewRequest("GET", "/api/log?"+query, nil)); w.Code != 400 {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}
