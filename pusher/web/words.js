// What the pages say, in the browser's language.
const languages = ["en", "de"];

export const language = navigator.languages.map(l => l.slice(0, 2)).find(l => languages.includes(l)) ?? "en";
export const words = (await import(`./${language}.js`)).default;

AbortSignal.timeout ??= time => { const c = new AbortController(); setTimeout(() => c.abort(), time); return c.signal; }; // Safari before 16

export const at = id => document.getElementById(id);

// make makes an element with properties and children.
export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// digits writes a number with n digits behind its point.
export const digits = (number, n) => number.toLocaleString(language, { minimumFractionDigits: n, maximumFractionDigits: n });

// translate puts the words where the page has their names.
export function translate() {
  document.documentElement.lang = language;
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = words[e.dataset.text];
  for (const e of document.querySelectorAll("[data-label]")) {
    e.ariaLabel = words[e.dataset.label || e.id];
    if (e.matches("a, button, summary")) e.title = e.ariaLabel;
  }
}

// show sets an element's text. Screen readers say only what is new.
export function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
