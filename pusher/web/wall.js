// Many cameras on one page: those that its address names, as ?cam=garden.local&cam=…,
// or those that this camera knows in its network.
// A page may not read another camera's stream, but may show it, and begin a push session and
// keep it alive. So each tile is an <img> of a session, which says whether its camera is there.
import { at, make, show, translate, words } from "./words.js";

// All times are in milliseconds.
const retry = { first: 300, most: 2000 }; // between two tries to reach a camera
const answer = 3000; // for which an answer is waited
const search = 10_000; // between two looks for cameras
const asleep = 4000; // too late for a look at a session: this computer has slept
const rate = { least: 1, most: 15, perPixel: 1 / 40 }; // frames a second, by a tile's width on the screen

class Tile {
  element = make("li");
  #base; // the camera's address
  #query; // of it, as ?token=…
  #image = new Image();
  #word = make("span", { className: "tag", role: "status" });
  #visible = false;
  #run = 0; // counts the sessions; what belongs to an older one has ended
  #session = null; // the URL that shows it
  #fps = 0;
  #broken = false; // the <img> has lost the session's stream

  constructor(address) {
    const url = new URL(address);
    this.#query = url.search.slice(1);
    this.#base = new URL(url.pathname.replace(/\/?$/, "/"), url);
    const name = url.host + url.pathname.replace(/\/$/, "");
    this.#image.alt = words.picture + ": " + name;
    this.element.append(this.#image, make("a", { className: "tag", href: this.#at(""), textContent: name }), this.#word);
    this.#image.addEventListener("error", () => { this.#broken = this.#image.hasAttribute("src"); });
    this.#image.addEventListener("load", () => this.#image.classList.add("seen"));
  }

  // see says whether the tile can be seen: else its camera may rest.
  see(visible) {
    if (visible === this.#visible) return;
    this.#visible = visible;
    visible ? this.#again() : this.#end();
  }

  get live() { return this.#session && !this.#broken; }

  // fit asks for as many frames as the tile's size deserves.
  fit() {
    const wanted = this.element.clientWidth * devicePixelRatio * rate.perPixel;
    const fps = Math.round(Math.min(Math.max(wanted, rate.least), rate.most));
    if (fps === this.#fps) return;
    this.#fps = fps;
    this.#load();
  }

  #load() {
    this.#broken = false;
    if (this.#session) this.#image.src = this.#session + (this.#session.includes("?") ? "&" : "?") + "fps=" + this.#fps;
  }

  #end() {
    this.#run++;
    this.#session = null;
    this.#image.removeAttribute("src");
    this.#image.classList.remove("seen");
  }

  // again begins sessions, one after the other.
  async #again() {
    this.#end();
    const run = this.#run, current = () => run === this.#run;
    show(this.#word, words.connecting);
    for (let wait = retry.first; current(); wait = Math.min(2 * wait, retry.most)) {
      const session = await this.#post("sessions").catch(() => null);
      if (!current()) return;
      if (session?.url) {
        this.#session = this.#at(session.url);
        this.#load();
        show(this.#word, "");
        await this.#keep(session, current);
        if (!current()) return;
        this.#session = null;
        wait = retry.first;
      }
      show(this.#word, session?.error ? words.closed : words.reconnecting);
      await pause(wait);
    }
  }

  // keep keeps a session alive until it is over.
  async #keep(session, current) {
    const every = session.keepalive_every * 1000;
    for (let at = Date.now(); ; at = Date.now()) {
      await pause(every);
      if (!current()) return;
      if (this.#broken || Date.now() - at > every + asleep) return;
      const kept = await this.#post(session.url).catch(() => null);
      if (!kept?.expires_in) return;
    }
  }

  #at(path) { return String(new URL(path + (this.#query && "?" + this.#query), this.#base)); }

  async #post(path) {
    const response = await fetch(this.#at(path), { method: "POST", signal: AbortSignal.timeout(answer) });
    return response.ok ? response.json() : { error: response.status };
  }
}

const pause = time => new Promise(done => setTimeout(done, time));

async function cameras() {
  const named = new URLSearchParams(location.search).getAll("cam").map(a => a.includes("://") ? a : location.protocol + "//" + a);
  if (named.length > 0) return named.filter(isCamera).map(url => ({ url }));
  const answer = await fetch("api/cameras", { signal: AbortSignal.timeout(search) }).then(a => a.json()).catch(() => null);
  return (answer?.cameras ?? []).map(c => c.self ? { url: new URL(".", location).href } : c);
}

function isCamera(address) {
  try {
    return ["http:", "https:"].includes(new URL(address).protocol);
  } catch {
    return false;
  }
}

translate();
const list = at("tiles");
const tiles = new Map();
const known = new Map(); // elements, by a camera's name

// arrange makes the tiles as large as the window allows, in rows of the same length.
function arrange() {
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  const least = Math.min(width, 240);
  const size = columns => Math.min(width / columns, height / Math.ceil(tiles.size / columns) * 16 / 9);
  let best = 1;
  for (let columns = 2; columns <= tiles.size && width / columns >= least; columns++) {
    if (size(columns) > size(best)) best = columns;
  }
  if (size(best) < least) best = Math.max(1, Math.floor(width / least));
  list.style.setProperty("--columns", best);
  for (const tile of tiles.values()) tile.fit();
}
addEventListener("resize", arrange);

const seen = new Map();
const look = () => { for (const [element, visible] of seen) tiles.get(element)?.see(visible && !document.hidden); };
document.addEventListener("visibilitychange", look);
const observer = new IntersectionObserver(entries => {
  for (const e of entries) seen.set(e.target, e.isIntersecting);
  look();
});

// find looks for cameras, also for those that come later.
async function find() {
  for (const { url: address, host = address } of await cameras()) {
    const old = known.get(host);
    if (old && (old.address === address || tiles.get(old).live)) continue;
    if (old) { // it has another address now
      tiles.get(old).see(false);
      tiles.delete(old);
      seen.delete(old);
      observer.unobserve(old);
      old.remove();
    }
    if (location.protocol === "https:" && address.startsWith("http:")) at("mixed").hidden = false; // browsers show none there
    const tile = new Tile(address);
    known.set(host, Object.assign(tile.element, { address }));
    tiles.set(tile.element, tile);
    list.append(tile.element);
    observer.observe(tile.element);
  }
  at("none").hidden = tiles.size > 0;
  arrange();
  setTimeout(find, search);
}
await find();
