package pusher

import (
	"bufio"
	"context"
	"sync"
	"testing"
	"time"
)

// A program that takes every third frame only is asked, by an empty record, whether it has
// read all that came; its frames stay whole and in order.
func TestSlowReaderOfRecordsIsAsked(t *testing.T) {
	const size = 100_000
	server, client := pair(t, "tcp", "127.0.0.1:0")
	v := newViewer(server, time.Hour, new(ageHistogram))
	v.records, v.link.asks = true, true
	hub := NewHub(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		v.run(ctx, hub)
		server.Close()
	})
	t.Cleanup(func() {
		cancel()
		client.Close()
		ended.Wait()
	})
	_, in := openRecords(t, bufio.NewReader(client))
	seq, last, asked := uint64(0), uint32(0), 0
	for frames := 0; asked == 0; frames++ {
		if frames == 1000 {
			t.Fatal("it was not asked while it took a thousand frames")
		}
		for range 3 {
			seq++
			hub.Publish(bigFrame(seq, size))
		}
		rec, err := nextRecord(in)
		for ; err == nil && rec.JPEG == ""; rec, err = nextRecord(in) {
			asked++
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Number < last || rec.JPEG != string(bigFrame(uint64(rec.Number), size).JPEG) {
			t.Fatalf("frame %d after frame %d is not whole", rec.Number, last)
		}
		last = rec.Number
	}
	t.Logf("asked behind frame %d of %d", last, seq)
}
