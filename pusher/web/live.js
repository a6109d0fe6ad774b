// The live picture of a page, which heals by itself, and how it is.
import { Clock } from "./clock.js";
import { canDraw, Painter, readFrames } from "./frames.js";

// All times are in milliseconds.
const tick = 500; // between two looks at how it is
const silence = 3000; // after which a connection is taken for dead
const slowFrom = 1000; // of age when it is drawn, a picture is slow
const asleep = 5000; // between two ticks: this computer has slept
const retry = { first: 300, most: 2000, refused: 5000 }; // between two tries to connect
const asks = { settled: 10_000, otherwise: 1000, wait: 4000 }; // between two requests for the camera's clock, and for an answer
const exchanges = { least: 3, most: 12, doubt: 50 }; // a tick apart, after a connection began, until the clock is known so well
const remembered = 5000; // for which drawn frames count for the rate
const pace = { least: 1, more: 2, most: 60, few: 10, patience: 300_000 }; // frames a second to ask for, the factor by which more are tried, how many tell nothing, and after how long at most more are tried

export class Live {
  picture; // the canvas, or the <img> in its place where the browser cannot draw frames
  state = null; // the camera's, as it was last told
  refusal = ""; // its sentence, if it does not give the stream
  #painter = null; // null: the picture is an <img>, which tells nothing
  #changed;
  #elsewhere;
  #fps;
  #name = ""; // of the connection, random
  #clock = new Clock();
  #abort = null; // ends the connection; null while the page is hidden
  #reading = false; // the connection is under way
  #connected = false; // and the camera has begun to answer
  #knocking = false; // it finds out whether the camera can be reached
  #known = false; // it was connected before, since the page is shown
  #heard = 0; // when the last byte came
  #answered = -Infinity; // when the last answer came
  #asked = -Infinity; // when it was last asked for
  #asking = false;
  #exchanges = 0; // since the connection began
  #limit = Infinity; // frames a second that it asks for
  #patience = remembered; // before it asks for more
  #raised = false; // it asked for more than before
  #limited = 0; // when it last changed what it asks for
  #taken = 0; // frames since the connection began, and drawn
  #shown = 0; // or repeated, or damaged: what is to be drawn no more
  #counted = null; // when it was counted last, how many were sent until then, and shown
  #missed = 0; // answers that did not know our <img>
  #wait = retry.first;
  #timer; // of the next try to connect
  #drawnAge = NaN; // of the last frame when it was drawn
  #drawn = []; // when frames were drawn lately
  #ticked = Date.now();

  // `changed` is called twice a second, and when something is new. `elsewhere` tells whether
  // the picture is seen although the page is hidden.
  constructor(canvas, { fps = "", changed, elsewhere = () => false }) {
    this.#changed = changed;
    this.#elsewhere = elsewhere;
    this.#fps = fps;
    this.picture = canvas;
    if (canDraw) this.#painter = new Painter(canvas, frame => this.#isDrawn(frame));
    else this.#useImage();
    document.addEventListener("visibilitychange", () => this.look());
    setInterval(() => this.#tick(), tick);
    this.look();
  }

  // look finds out whether anybody sees the picture.
  look() {
    const seen = !document.hidden || this.#elsewhere();
    if (seen && !this.#abort) this.#connect();
    else if (!seen) this.hide();
  }

  // What is not known of these is null or NaN.
  get frame() { return this.#painter?.last ?? null; }
  get age() { return this.frame?.clock === this.#clock ? this.#clock.age(this.frame.taken) : NaN; }

  // doubt is by how much the age may be wrong, either way.
  get doubt() { return this.#clock.doubt / 2; }

  // rate is how many frames a second are drawn.
  get rate() {
    const since = performance.now() - remembered;
    this.#drawn = this.#drawn.filter(t => t > since);
    return this.#drawn.length > 1 ? 1000 * (this.#drawn.length - 1) / (this.#drawn.at(-1) - this.#drawn[0]) : NaN;
  }

  // word is how it is, as a name of one of the words.
  get word() {
    const { phase, format } = this.state?.camera ?? {};
    if (["receiving", "restarting"].includes(this.state?.update?.phase) && performance.now() - this.#answered < 120_000) return "updating";
    if (!this.#connected) return this.#known ? "reconnecting" : "connecting";
    if (phase === "privacy") return "privacy";
    if (phase === "no-camera" || phase === "fault" || this.frame?.number === 0 && phase !== "live") return "lost"; // else the reason is on its way
    if (phase === "starting" || this.#painter && !this.frame) return "starting";
    const rate = this.rate || Math.min(format?.fps || 1, this.#asksFor || 1);
    if (this.#drawnAge > slowFrom || this.age > Math.max(silence, 3000 / rate)) return "slow";
    return "live";
  }

  // taken is when a frame was captured, as a Date.
  taken(frame) {
    if (this.#clock.doubt < Infinity) frame.at ??= Date.now() - this.#clock.age(frame.taken);
    return new Date(frame.at ?? Date.now());
  }

  get name() { return this.state?.camera?.device?.name || "pushcam"; }

  // turn turns the picture by quarters, clockwise, mirrors it then, and writes label's text on it.
  turn(turns, mirrored, label) {
    if (!this.#painter) return;
    Object.assign(this.#painter, { turns, mirrored, label });
    this.#painter.again();
  }

  // connect begins a connection. If what was shown goes on, for all that anybody sees, it is
  // quiet.
  #connect(quiet = false) {
    this.#pause();
    this.#connected = quiet;
    const abort = this.#abort = new AbortController();
    this.#name = Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(36)).join("");
    this.#heard = performance.now();
    this.#missed = 0;
    if (!quiet) this.#clock = new Clock();
    this.#exchanges = this.#taken = this.#shown = 0;
    this.#counted = null;
    this.#asking = false; // what the connection before has asked may wait for its end
    this.#ask();
    const fps = this.#asksFor;
    const query = "?name=" + this.#name + (fps && "&fps=" + encodeURIComponent(fps));
    if (!this.#painter) {
      this.picture.src = "stream" + query;
      return;
    }
    this.#reading = true;
    const hear = () => { this.#heard = performance.now(); };
    const opened = () => { hear(); this.#isOpen(true); };
    const tell = state => this.#tell(state);
    readFrames("frames" + query + "&news=1", abort.signal, { opened, hear, take: frame => this.#take(frame), tell })
      .catch(error => error)
      .then(error => { if (this.#abort === abort) this.#end(error); });
  }

  // knock connects anew when the camera answers. A browser asks a camera that is silent ever
  // more rarely, up to half a minute apart, and new requests wait for that; a new WebSocket
  // does not. The camera refuses it.
  #knock() {
    this.#pause();
    this.#abort = new AbortController();
    this.#reading = this.#knocking = true;
    this.#heard = performance.now();
    try {
      const socket = new WebSocket(new URL("state", location.href.replace("http", "ws")));
      socket.onopen = socket.onerror = () => this.#connect();
      this.#abort.signal.onabort = () => {
        socket.onerror = null;
        socket.close();
      };
    } catch { // an old browser whose rules for pages do not know them
      this.#connect();
    }
  }

  hide() {
    this.#pause();
    this.#known = false;
  }

  #pause() {
    this.#abort?.abort();
    this.#abort = null;
    this.#reading = this.#connected = this.#knocking = false;
    clearTimeout(this.#timer);
    if (!this.#painter) this.picture.removeAttribute("src");
  }

  #end(error) {
    this.#reading = this.#connected = false;
    this.refusal = error?.status ? error.message : "";
    if (error?.status === 401) location.reload(); // viewing has been closed
    this.#later(this.refusal ? retry.refused : undefined);
    this.#changed();
  }

  #isOpen(open) {
    this.#connected = open;
    this.#known ||= open;
    if (open) this.refusal = "";
  }

  #take(frame) {
    const last = this.frame;
    this.#wait = retry.first;
    this.#taken++;
    const same = frame.number === last?.number && frame.taken === last.taken;
    (same ? last : frame).clock = this.#clock;
    if (same) this.#shown++;
    else this.#painter.show(frame);
  }

  #tell(state) {
    this.state = state;
    this.#changed();
  }

  #isDrawn(frame) {
    this.#shown++;
    if (!frame) return;
    this.taken(frame);
    this.#drawnAge = frame.number ? this.#clock.age(frame.taken) : NaN;
    this.#drawn.push(performance.now());
    if (this.#drawn.length === 1) this.#changed();
  }

  #tick() {
    const now = performance.now(), late = Date.now() - this.#ticked;
    this.#ticked = Date.now();
    if (!this.#abort) return; // hidden
    // While the camera starts it gives nothing, and that is no reason to connect anew.
    const excused = this.#connected && this.state?.camera?.phase !== "live" && now - this.#answered < silence;
    const silent = this.#reading && now - this.#heard > silence && !excused;
    if (late > asleep || silent && this.#connected) this.#connect();
    else if (silent) this.#knock();
    const settled = this.#painter && this.word === "live";
    if (this.#exchanges < exchanges.least || this.#exchanges < exchanges.most && this.#clock.doubt > exchanges.doubt) this.#ask();
    if (now - this.#asked >= (settled ? asks.settled : asks.otherwise)) this.#ask();
    this.#changed();
  }

  // ask asks for the camera's clock. With an <img>, which tells nothing, it asks for the state.
  async #ask() {
    if (this.#asking || this.#knocking) return;
    this.#asking = true;
    const abort = this.#abort, asked = this.#asked = performance.now();
    let sent;
    try {
      const answer = await fetch((this.#painter ? "clock" : "state") + "?viewer=" + this.#name, { cache: "no-store", signal: AbortSignal.timeout(asks.wait) });
      const answered = performance.now();
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error);
      if (abort === this.#abort) {
        this.#exchanges++;
        this.#clock.exchange(asked, answered, told.clock_us / 1000);
        this.#answered = answered;
        if (this.#painter) sent = this.state?.camera.phase === "live" && told.frames_sent;
        else {
          this.#tell(told);
          this.#isKnown(told.viewers.length > 0);
        }
      }
    } catch {
      if (!this.#painter && abort === this.#abort) this.#missed = 1, this.#connected = false;
    }
    if (abort !== this.#abort) return;
    this.#asking = false;
    if (sent) this.#pace(sent);
    else this.#counted = null;
    if (abort) this.#changed();
  }

  get #asksFor() { return this.#limit < (this.#fps || Infinity) ? this.#limit.toFixed(2) : this.#fps; }

  // pace asks for fewer frames if this computer cannot draw them all. Those that it leaves
  // out cost it the time that it lacks, and in Firefox they wait in a queue before they come.
  #pace(sent) {
    const now = performance.now(), count = [now, sent, this.#shown];
    const [time, all, shown] = count.map((n, i) => n - (this.#counted ??= count)[i]);
    if (time < remembered || all < pace.few) return;
    this.#counted = count;
    const asked = this.#asksFor, rate = 1000 * shown / time;
    if (shown < all * 2 / 3 || sent - this.#taken > Math.max(2, rate)) { // a queue of a second is too long
      if (this.#raised) this.#patience = Math.min(2 * this.#patience, pace.patience);
      this.#raised = false;
      this.#limit = Math.max(rate, pace.least);
    } else if (shown > all * .9 && this.#drawnAge < slowFrom && now - this.#limited > this.#patience) {
      this.#raised = true;
      this.#limit *= this.#limit < pace.most ? pace.more : Infinity;
    } else return;
    this.#limited = now;
    if (this.#asksFor !== asked) this.#connect(true);
  }

  // isKnown is told whether the camera has a viewer of our name. It has none for an <img>,
  // which does not say so, after either computer was away.
  #isKnown(known) {
    this.#isOpen(known);
    this.#missed = known ? 0 : this.#missed + 1;
    if (this.#missed > 1) this.#connect(); // once may be a stream that is only just coming
  }

  #useImage() {
    const image = new Image();
    image.id = this.picture.id;
    image.alt = this.picture.getAttribute("aria-label");
    image.onload = () => { this.#wait = retry.first; };
    image.onerror = () => { if (this.#abort && image.hasAttribute("src")) this.#later(); };
    this.picture.replaceWith(image);
    this.picture = image;
  }

  // later connects anew after a time, which doubles each time.
  #later(wait = this.#wait) {
    this.#wait = Math.min(2 * this.#wait, retry.most);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }
}
