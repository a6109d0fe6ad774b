package conformance

import (
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pushcam/pushcam/pusher"
)

// findFocus has what can be reached by Tab, in the page's order, and tells where the focus is
// among it and what is wrong with that.
const findFocus = `
	window.stops = () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter(e =>
		!e.disabled && e.tabIndex >= 0 && e.checkVisibility() && (e.type !== "radio" || e.checked));
	window.focused = () => {
		const e = document.activeElement, seen = getComputedStyle(e).opacity === "0" ? e.labels[0] : e; // the set-up page's radio buttons
		const box = seen.getBoundingClientRect(), style = getComputedStyle(seen), wrong = [];
		const middle = (from, to, most) => (Math.max(from, 0) + Math.min(to, most)) / 2;
		const top = document.elementFromPoint(middle(box.left, box.right, innerWidth), middle(box.top, box.bottom, innerHeight));
		if (!e.matches(":focus-visible") || style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1) wrong.push("shows no focus");
		if (!top || !seen.contains(top)) wrong.push("is covered by " + (top?.outerHTML.slice(0, 80) ?? "the window's edge"));
		return { at: stops().indexOf(e), what: e.outerHTML.slice(0, 120), wrong: wrong.join(", ") };
	};`

// press presses keys as a keyboard does.
func (tb *chromiumTab) press(keys string, modifiers ...chromedp.KeyOption) {
	tb.t.Helper()
	tb.do(chromedp.KeyEvent(keys, modifiers...))
}

// focus is where the focus is: its number among what can be reached.
func (tb *chromiumTab) focus(where string) (at int) {
	tb.t.Helper()
	var f struct {
		At          int
		What, Wrong string
	}
	tb.eval("focused()", &f)
	if f.Wrong != "" {
		tb.t.Errorf("%s: %s %s", where, f.What, f.Wrong)
	}
	return f.At
}

// walk goes by Tab through all of the page that can be reached, and back.
func (tb *chromiumTab) walk(where string, least int) {
	tb.t.Helper()
	var stops int
	if tb.eval("stops().length", &stops); stops < least {
		tb.t.Fatalf("%s: %d elements can be reached, want %d at least", where, stops, least)
	}
	var done bool
	tb.eval(`(() => { // Tab begins where something was that had the focus
		const first = Object.assign(document.createElement("span"), { tabIndex: -1 });
		document.body.prepend(first);
		first.focus();
		first.remove();
		return true;
	})()`, &done)
	for want := range stops {
		tb.press(kb.Tab)
		if at := tb.focus(where); at != want {
			tb.t.Fatalf("%s: Tab leads to number %d of %d, want number %d", where, at, stops, want)
		}
	}
	for want := stops - 2; want >= 0; want-- {
		tb.press(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))
		if at := tb.focus(where); at != want {
			tb.t.Fatalf("%s: Shift-Tab leads to number %d of %d, want number %d", where, at, stops, want)
		}
	}
}

// has waits until the element that a selector finds has the focus.
func (tb *chromiumTab) has(selector string) {
	tb.t.Helper()
	until(tb.t, tb, `document.activeElement === document.querySelector(`+strconv.Quote(selector)+`)`)
}

// tabTo presses Tab until the element that a selector finds has the focus.
func (tb *chromiumTab) tabTo(selector string) {
	tb.t.Helper()
	for range 100 {
		var there bool
		if tb.eval(`document.activeElement.matches(`+strconv.Quote(selector)+`)`, &there); there {
			return
		}
		tb.press(kb.Tab)
	}
	tb.t.Fatalf("Tab does not lead to %s", selector)
}

// All pages are operated by the keyboard alone: all of them is reached in its order, and the
// focus is seen, and is not lost.
func TestKeyboard(t *testing.T) {
	tb := chromiumAlone(t, "everything is reached and operated by the keyboard; the focus is seen and is not lost", findFocus)
	p := startOwned(t, "-size", "320x240")

	tb.open(unowned(t))
	until(t, tb, `document.images[0]`)
	tb.has("[name=password]")
	tb.walk("the welcome page", 5)

	tb.open(p.url + "/")
	until(t, tb, word+` == "live"`)
	tb.walk("the page", 6)
	tb.tabTo("#adjust summary")
	tb.press(kb.Enter)
	until(t, tb, `document.getElementById("adjust").open`)
	tb.walk("the page with its menu", 9)
	tb.tabTo("#rotate")
	tb.press(" ")
	until(t, tb, `document.getElementById("picture").width < document.getElementById("picture").height`)
	tb.press(kb.Escape)
	until(t, tb, `!document.getElementById("adjust").open`)
	tb.has("#adjust summary")
	tb.tabTo("#full")
	tb.press(kb.Enter)
	until(t, tb, `document.fullscreenElement?.id == "stage"`)
	tb.press("f")
	until(t, tb, `!document.fullscreenElement`)
	tb.has("#full")
	tb.tabTo("a[href=panel]")
	tb.press(kb.Enter)

	until(t, tb, `document.getElementById("login")?.hidden == false`)
	tb.has("#password")
	tb.press("not-the-password" + kb.Enter)
	until(t, tb, `document.querySelector("#login .wrong").textContent != ""`)
	tb.has("#password")
	tb.press(ownersPassword + kb.Enter)
	until(t, tb, `document.querySelectorAll("section").length > 5 && `+word+` != ""`)
	until(t, tb, `document.querySelector("#viewers tbody td")`)
	tb.walk("the panel", 15)
	tb.do(chromedp.EmulateViewport(390, 844))
	tb.walk("the panel on a phone", 15)
	tb.tabTo("#help button")
	tb.press(kb.Enter)
	until(t, tb, `document.querySelector("textarea").value.includes("test pattern")`)
	tb.has("#help button")
	var listens bool
	tb.eval(`document.addEventListener("copy", ({ target }) => { window.copied = target.value?.slice(target.selectionStart, target.selectionEnd); }) === undefined`, &listens)
	tb.press(kb.Tab)
	tb.press(kb.Enter) // Copy
	until(t, tb, `window.copied?.includes("test pattern") && copied === document.querySelector("textarea").value`)
	tb.do(chromedp.Focus(chromedp.CSS("#camera input[type=checkbox]")))
	tb.press(" ")
	until(t, tb, input("Always on")+`.closest(".field").querySelector(".reset:not([hidden])")`)
	tb.has("#camera input[type=checkbox]")
	// The list of viewers changes every second, and a button in it keeps the focus.
	tb.do(chromedp.Focus(chromedp.CSS("#viewers button")))
	var age string
	tb.eval(`document.querySelector("#viewers tr td:nth-child(2)").textContent`, &age)
	until(t, tb, `document.querySelector("#viewers tr td:nth-child(2)").textContent != `+strconv.Quote(age))
	tb.has("#viewers button")

	tb.open(p.url + "/wall?cam=" + p.url + "&cam=" + start(t, "-size", "320x240").url)
	until(t, tb, `document.querySelector("#tiles img")?.naturalWidth > 0`)
	tb.walk("the wall", 2)

	// It is filled in and sent by gokrazy/network/portal's tests.
	tb.open(setUpSite(t))
	until(t, tb, `!document.querySelector("[data-for]").hidden`)
	tb.walk("the set-up page", 10)
	tb.tabTo("[name=network]")
	tb.press(kb.ArrowUp) // to the last one, which asks for a name
	until(t, tb, `document.activeElement.id === "no" && document.getElementById("ssid").checkVisibility()`)
	tb.walk("the set-up page with another network", 11)
}

// unowned is the URL of a camera that has no owner yet, as an appliance at first sight.
func unowned(t *testing.T) string {
	t.Helper()
	return film(t, &pusher.Server{Owner: &pusher.Owner{
		Verify: func(string) (bool, error) { return false, nil },
		Free:   func() bool { return true },
		Offers: func() (string, bool) { return "pushcam", true },
		Choose: func(pusher.Choice) error { return pusher.ErrUnsuitable },
	}})
}
