package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAsyncWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		w := newAsyncWriter(write)
		line := []byte("0\n")
		w.Write(line)
		line[0] = 'x' // it is the caller's again
		synctest.Wait()
		for i := 1; i <= asyncLines+5; i++ { // one is being written, and the others have to wait
			fmt.Fprintln(w, i)
		}
		var got strings.Builder
		all := make(chan struct{})
		go func() {
			io.Copy(&got, read)
			close(all)
		}()
		synctest.Wait()
		fmt.Fprintln(w, strings.Repeat("long", maxLogLine))
		w.close()
		fmt.Fprintln(w, "too late")
		write.Close()
		<-all
		lines := strings.Split(got.String(), "\n")
		if len(lines) != asyncLines+3 || lines[0] != "0" || lines[asyncLines] != fmt.Sprint(asyncLines) {
			t.Fatalf("%d lines: %.100q", len(lines), lines)
		}
		if want := "(5 lines of the log are missing here)"; lines[asyncLines+1] != want || len(lines[asyncLines+2]) != maxLogLine {
			t.Errorf("at the end %.100q, want %q and a line of %d bytes", lines[asyncLines+1:], want, maxLogLine)
		}
	})
}

// The end does not wait for a writer that hangs.
func TestAsyncWriterHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, write := io.Pipe()
		w := newAsyncWriter(write)
		for range 3 {
			fmt.Fprintln(w, "a line")
		}
		start := time.Now()
		w.close()
		if took := time.Since(start); took != asyncEnd {
			t.Errorf("the end took %v", took)
		}
		w.close()
		read.Close()
		<-w.done
	})
}
