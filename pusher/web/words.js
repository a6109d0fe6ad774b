// What the pages say, in the language that the browser prefers: en.js, de.js. What the
// camera itself says is in English.
const languages = ["en", "de"];

export const language = navigator.languages.map(l => l.slice(0, 2)).find(l => languages.includes(l)) ?? "en";
export const words = (await import(`./${language}.js`)).default;

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
    if (e.matches("a, button, summary")) e.title = e.ariaLabel;
  }
}

// show sets an element's text, if that is another one, so that screen readers say only what
// is new.
export function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
