// The viewer page.
import { local, withExif } from "./exif.js";
import { Live } from "./live.js";
import { at, digits, language, make, show, translate, words } from "./words.js";
import { Zoom } from "./zoom.js";

const good = ["connecting", "live", "starting", "updating"];

translate();
const live = new Live(at("picture"), { changed, elsewhere: () => Boolean(document.pictureInPictureElement) });
const zoom = new Zoom(at("stage"), live.picture);

function changed() {
  const { word, age, doubt, rate, state } = live;
  show(at("word"), words[word]);
  at("state").classList.toggle("bad", !good.includes(word));
  at("state").classList.toggle("live", word === "live");
  const known = live.frame?.number > 0 && age >= 0;
  show(at("age"), known ? words.old(digits(age / 1000, age < 9995 ? 2 : 0)) : "");
  at("age").title = known ? `± ${digits(doubt / 1000, 2)} s` : "";
  show(at("rate"), known && rate > 0 && word !== "reconnecting" ? words.rate(digits(rate, rate < 9.95 ? 1 : 0)) : "");
  if (!state) {
    show(at("notice"), live.refusal);
    return;
  }
  const { camera, card, watching, settings, update } = state, { format, device } = camera, name = device?.name;
  document.title = name ? `${name} · pushcam` : "pushcam";
  show(at("about"), [words.watching(watching), name, format.width && `${format.width}×${format.height}`, format.adjusted].filter(Boolean).join(" · "));
  show(at("reason"), camera.reason ?? ""); // the picture says it, too
  show(at("notice"), [live.refusal, update?.message, card?.trouble, settings?.trouble]
    .filter(Boolean).map(sentence => sentence[0].toUpperCase() + sentence.slice(1)).join("\n"));
}

// How the picture is shown is remembered by this browser, if it lets pages remember.
const shown = { turns: 0, mirrored: false, stamp: false };
try {
  Object.assign(shown, JSON.parse(localStorage.getItem("pushcam-shown")));
} catch { /* it does not */ }
function adjust() {
  shown.turns = Math.trunc(shown.turns) % 4 || 0;
  shown.mirrored = shown.mirrored === true;
  shown.stamp = shown.stamp === true;
  live.turn(shown.turns, shown.mirrored, shown.stamp ? frame => `${live.name}  ${live.taken(frame).toLocaleString(language)}` : null);
  at("mirror").ariaPressed = String(shown.mirrored);
  at("stamp").ariaPressed = String(shown.stamp);
}
function change(to) {
  Object.assign(shown, to);
  adjust();
  try {
    localStorage.setItem("pushcam-shown", JSON.stringify(shown));
  } catch { /* it does not */ }
}
adjust();

// save saves what is shown: the camera's own bytes, and how they are seen here.
function save() {
  const { frame, name } = live, taken = live.taken(frame);
  const file = [name.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, ""), ...local(taken).replaceAll(":", "-").split("T")];
  const blob = withExif(frame.jpeg, { ...shown, taken, name });
  const link = make("a", { href: URL.createObjectURL(blob), download: file.join("_") + ".jpg" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// In full screen the display stays on, where pages may ask for that.
let lock = null;
async function keepOn() {
  if (!document.fullscreenElement) {
    lock?.release();
    lock = null;
  } else if (!document.hidden) {
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
    if (!document.fullscreenElement) keepOn(); // it has ended meanwhile
  }
}
document.addEventListener("fullscreenchange", () => {
  keepOn();
  if (!document.fullscreenElement) at("full").focus(); // which lost the focus, because it was not shown
});
document.addEventListener("visibilitychange", keepOn);

// Picture-in-picture shows a video of the canvas, where the browser can. The page may be
// hidden then.
const video = make("video", { muted: true, playsInline: true, onleavepictureinpicture: () => live.look() });
async function inset() {
  if (document.pictureInPictureElement) return document.exitPictureInPicture();
  video.srcObject ??= live.picture.captureStream();
  adjust(); // a stream has no picture before one is drawn
  await video.play();
  await video.requestPictureInPicture();
}

const actions = {
  snapshot: { key: "s", do: save },
  rotate: { key: "r", do: () => change({ turns: shown.turns + 1 }) },
  mirror: { key: "m", do: () => change({ mirrored: !shown.mirrored }) },
  stamp: { key: "d", do: () => change({ stamp: !shown.stamp }) },
  smaller: { key: "-", do: () => zoom.by(1 / 1.5) },
  larger: { key: "+", do: () => zoom.by(1.5) },
  inset: { key: "p", do: () => inset().catch(() => {}) },
  full: { key: "f", do: () => document.fullscreenElement ? document.exitFullscreen() : at("stage").requestFullscreen() },
};
for (const [id, action] of Object.entries(actions)) {
  at(id).addEventListener("click", event => {
    if (id === "snapshot" && !live.frame) return; // the link itself gets a picture
    event.preventDefault();
    action.do();
  });
}
addEventListener("pointerdown", event => { if (!at("adjust").contains(event.target)) at("adjust").open = false; });
at("inset").hidden = !document.pictureInPictureEnabled || !live.picture.captureStream;
at("full").hidden = !document.fullscreenEnabled;
at("adjust").hidden = live.picture.localName !== "canvas";
const arrows = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const id = Object.keys(actions).find(id => actions[id].key === event.key);
  if (id && !at(id).closest("[hidden]")) at(id).click();
  else if (event.key === "Escape") {
    if (at("adjust").contains(document.activeElement)) at("adjust").firstElementChild.focus();
    at("adjust").open = false;
  }
  else if (event.key in arrows) zoom.pan(...arrows[event.key]);
  else return;
  event.preventDefault();
});
