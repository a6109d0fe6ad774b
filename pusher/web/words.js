// What the pages say, in the language that the browser prefers. What the camera itself says
// is in English.
const languages = {
  en: {
    picture: "The camera's live picture",
    connecting: "connecting", live: "live", slow: "slow", reconnecting: "reconnecting", starting: "starting",
    lost: "camera lost", privacy: "privacy", updating: "updating",
    old: seconds => seconds + " s old",
    rate: frames => frames + " fps",
    watching: n => n + " watching",
    snapshot: "Save the picture", rotate: "Turn the picture", mirror: "Mirror the picture",
    smaller: "Zoom out", larger: "Zoom in", full: "Full screen", leave: "Log out", buttons: "The picture",
  },
  de: {
    picture: "Das Livebild der Kamera",
    connecting: "verbindet", live: "live", slow: "langsam", reconnecting: "verbindet neu", starting: "startet",
    lost: "Kamera weg", privacy: "Privatsphäre", updating: "Update läuft",
    old: seconds => seconds + " s alt",
    rate: frames => frames + " Bilder/s",
    watching: n => n === 1 ? "1 sieht zu" : n + " sehen zu",
    snapshot: "Bild speichern", rotate: "Bild drehen", mirror: "Bild spiegeln",
    smaller: "Verkleinern", larger: "Vergrößern", full: "Vollbild", leave: "Abmelden", buttons: "Das Bild",
  },
};

export const language = navigator.languages.map(l => l.slice(0, 2)).find(l => l in languages) ?? "en";
export const words = languages[language];

// digits writes a number with so many digits behind its point.
export function digits(number, n) {
  return number.toLocaleString(language, { minimumFractionDigits: n, maximumFractionDigits: n });
}

// translate puts the words where the page has their names, in data-text or data-label.
export function translate() {
  document.documentElement.lang = language;
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = words[e.dataset.text];
  for (const e of document.querySelectorAll("[data-label]")) {
    e.ariaLabel = words[e.dataset.label];
    if (e.matches("a, button")) e.title = e.ariaLabel;
  }
}

// show sets an element's text, if that is another one, so that screen readers say only what
// is new.
export function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
