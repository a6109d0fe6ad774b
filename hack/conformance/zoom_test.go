package conformance

import (
	"testing"

	events "github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// The picture is enlarged by the wheel, around the pointer, and by two fingers; it goes no
// further than its edge.
func TestZoom(t *testing.T) {
	tb := chromiumAlone(t, "wheel and pinch enlarge the picture around the place that is meant", "")
	p := start(t, "-size", "320x240")
	tb.open(p.url + "/")
	until(t, tb, word+` == "live"`)
	const scale = `new DOMMatrix(getComputedStyle(document.getElementById("picture")).transform).a`
	const box = `document.getElementById("picture").getBoundingClientRect()`
	var corner struct{ X, Y float64 }
	tb.eval(`(({ x, y }) => ({ X: x + 5, Y: y + 5 }))(document.getElementById("stage").getBoundingClientRect())`, &corner)
	wheel := func(delta float64) {
		t.Helper()
		_, err := chromedp.Call(tb.ctx, events.DispatchMouseEvent, events.DispatchMouseEventParams{
			Type: events.DispatchMouseEventTypeMouseWheel, X: corner.X, Y: corner.Y, DeltaX: 1e-9, DeltaY: delta}) // without the one the other does not count
		if err != nil {
			t.Fatal(err)
		}
	}
	var before, after float64
	tb.eval(box+`.left`, &before)
	wheel(-100)
	until(t, tb, scale+` > 1.2`)
	if tb.eval(box+`.left`, &after); after < before-15 || after > before {
		t.Errorf("what is at the pointer has moved: the picture's edge from %v to %v", before, after)
	}
	for range 10 {
		wheel(100)
	}
	until(t, tb, scale+` == 1`)

	touch := func(kind events.DispatchTouchEventType, apart ...float64) {
		t.Helper()
		points := []*events.TouchPoint{}
		for _, x := range apart {
			points = append(points, &events.TouchPoint{X: corner.X + 200 + x, Y: corner.Y + 200, ID: new(float64(len(points)))})
		}
		if _, err := chromedp.Call(tb.ctx, events.DispatchTouchEvent, events.DispatchTouchEventParams{Type: kind, TouchPoints: points}); err != nil {
			t.Fatal(err)
		}
	}
	touch(events.DispatchTouchEventTypeTouchStart, -20, 20)
	for _, apart := range []float64{30, 40, 50, 60} {
		touch(events.DispatchTouchEventTypeTouchMove, -apart, apart)
	}
	touch(events.DispatchTouchEventTypeTouchEnd)
	until(t, tb, scale+` > 2.5 && `+scale+` < 3.5`)
	if said := tb.complaints(); len(said) > 0 {
		t.Errorf("the console says %q", said)
	}
}
