package conformance

import (
	"encoding/json"
	"fmt"
	"testing"

	events "github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// The picture is enlarged by the wheel, around the pointer, and by two fingers; it goes no
// further than its edge.
func TestZoom(t *testing.T) {
	eachEngine(t, "wheel and pinch enlarge the picture around the place that is meant", func(t *testing.T, b browser) {
		tb := b.newTab(t)
		h, is := tb.(hand)
		if !is {
			h = script{tb}
		}
		p := start(t, "-size", "320x240")
		tb.open(p.url + "/")
		until(t, tb, word+` == "live"`)
		const scale = `new DOMMatrix(getComputedStyle(document.getElementById("picture")).transform).a`
		const box = `document.getElementById("picture").getBoundingClientRect()`
		var corner struct{ X, Y float64 }
		tb.eval(`(({ x, y }) => ({ X: Math.round(x) + 5, Y: Math.round(y) + 5 }))(document.getElementById("stage").getBoundingClientRect())`, &corner)
		var before, after float64
		tb.eval(box+`.left`, &before)
		h.wheel(corner.X, corner.Y, -100)
		until(t, tb, scale+` > 1.2`)
		if tb.eval(box+`.left`, &after); after < before-15 || after > before {
			t.Errorf("what is at the pointer has moved: the picture's edge from %v to %v", before, after)
		}
		for range 10 {
			h.wheel(corner.X, corner.Y, 100)
		}
		until(t, tb, scale+` == 1`)

		h.pinch(corner.X+200, corner.Y+200, 20, 30, 40, 50, 60)
		until(t, tb, scale+` > 2.5 && `+scale+` < 3.5`)
		quiet(t, tb)
	})
}

// A hand is at the wheel or has two fingers on the page, beside each other: so far to either
// side of a point, one distance after the other.
type hand interface {
	wheel(x, y, delta float64)
	pinch(x, y float64, apart ...float64)
}

func (tb *chromiumTab) wheel(x, y, delta float64) {
	tb.t.Helper()
	_, err := chromedp.Call(tb.ctx, events.DispatchMouseEvent, events.DispatchMouseEventParams{
		Type: events.DispatchMouseEventTypeMouseWheel, X: x, Y: y, DeltaX: 1e-9, DeltaY: delta}) // without the one the other does not count
	if err != nil {
		tb.t.Fatal(err)
	}
}

func (tb *chromiumTab) pinch(x, y float64, apart ...float64) {
	tb.t.Helper()
	touch := func(kind events.DispatchTouchEventType, at ...float64) {
		points := []*events.TouchPoint{}
		for _, x := range at {
			points = append(points, &events.TouchPoint{X: x, Y: y, ID: new(float64(len(points)))})
		}
		if _, err := chromedp.Call(tb.ctx, events.DispatchTouchEvent, events.DispatchTouchEventParams{Type: kind, TouchPoints: points}); err != nil {
			tb.t.Fatal(err)
		}
	}
	kind := events.DispatchTouchEventTypeTouchStart
	for _, d := range apart {
		touch(kind, x-d, x+d)
		kind = events.DispatchTouchEventTypeTouchMove
	}
	touch(events.DispatchTouchEventTypeTouchEnd)
}

func (tb *firefoxTab) wheel(x, y, delta float64) {
	tb.t.Helper()
	tb.act(source{"type": "wheel", "id": "wheel", "actions": []source{{"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": delta, "origin": "viewport"}}})
}

func (tb *firefoxTab) pinch(x, y float64, apart ...float64) {
	tb.t.Helper()
	finger := func(name string, side float64) source {
		var does []source
		for i, d := range apart {
			does = append(does, source{"type": "pointerMove", "x": x + side*d, "y": y, "origin": "viewport"})
			if i == 0 {
				does = append(does, source{"type": "pointerDown", "button": 0})
			}
		}
		does = append(does, source{"type": "pointerUp", "button": 0})
		return source{"type": "pointer", "id": name, "parameters": source{"pointerType": "touch"}, "actions": does}
	}
	tb.act(finger("left", -1), finger("right", 1))
}

// A source is what WebDriver's actions come from (https://www.w3.org/TR/webdriver2/#actions).
type source map[string]any

func (tb *firefoxTab) act(sources ...source) {
	tb.t.Helper()
	tb.do("WebDriver:PerformActions", map[string]any{"actions": sources}, nil)
}

// A script makes the events where the browser's driver has no fingers.
type script struct{ tab }

func (s script) wheel(x, y, delta float64) {
	s.make("WheelEvent", "wheel", map[string]any{"clientX": x, "clientY": y, "deltaY": delta})
}

func (s script) pinch(x, y float64, apart ...float64) {
	var done bool
	s.eval(`(document.getElementById("stage").setPointerCapture = () => {}, true)`, &done) // which a pointer that is none cannot be given
	kind := "pointerdown"
	for _, d := range apart {
		for id, x := range []float64{x - d, x + d} {
			s.make("PointerEvent", kind, map[string]any{"clientX": x, "clientY": y, "pointerId": id + 10, "pointerType": "touch"})
		}
		kind = "pointermove"
	}
	for id := range 2 {
		s.make("PointerEvent", "pointerup", map[string]any{"pointerId": id + 10, "pointerType": "touch"})
	}
}

func (s script) make(class, kind string, fields map[string]any) {
	fields["bubbles"], fields["cancelable"] = true, true
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	var done bool
	s.eval(fmt.Sprintf(`(document.getElementById("stage").dispatchEvent(new %s(%q, %s)), true)`, class, kind, text), &done)
}
