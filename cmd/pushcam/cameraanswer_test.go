package main

import (
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/pushcam/pushcam/camera"
	"github.com/pushcam/pushcam/camera/v4l2"
)

// The owner hears of a driver that hangs, and of everything else, and those who ask again do
// not wait in its driver, too.
func TestCameraAnswerOfDriverThatHangs(t *testing.T) {
	t.Attr("fault", "camera | a driver that does not answer the owner's page | the page has its other answers, and says so | when the driver answers")
	synctest.Test(t, func(t *testing.T) {
		awake := make(chan struct{})
		var asked atomic.Int32
		a := &cameraAnswer{
			state:   func() camera.State { return camera.State{Phase: camera.Fault} },
			webcam:  func() ([]v4l2.Mode, error) { return nil, nil },
			cameras: func() []camera.Device { asked.Add(1); <-awake; return []camera.Device{{Name: "Slow"}} },
			source:  "v4l2", asking: make(chan struct{}, 1),
			last: func() (int, int) { return 0, 0 },
		}
		look := func() string {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/camera", nil))
			return w.Body.String()
		}
		for range 3 {
			if said := look(); !strings.Contains(said, "driver does not answer") || !strings.Contains(said, `"fault"`) {
				t.Errorf("while it hangs: %s", said)
			}
		}
		if asked.Load() != 1 {
			t.Errorf("a driver that hangs was asked %d times", asked.Load())
		}
		close(awake)
		synctest.Wait()
		if said := look(); !strings.Contains(said, "Slow") || strings.Contains(said, "does not answer") {
			t.Errorf("when it answers again: %s", said)
		}
	})
}
