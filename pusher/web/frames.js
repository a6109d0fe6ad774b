// The camera's stream for a script (README.md, /frames), and the pictures on the page.

const maxFrame = 64 << 20; // bytes, more than any camera's picture has
const maxDecode = 5000; // milliseconds that a browser may take for a picture

export const canDraw = typeof createImageBitmap === "function" && typeof ReadableStream === "function" && "body" in Response.prototype;

// readFrames gives each frame of a stream to `take`, and what it says of the camera to `tell`,
// until the stream or the signal ends it. It calls `opened` when the stream begins, and `hear` for everything that comes of it. If
// the camera refuses, the error has its status.
export async function readFrames(url, signal, { opened, hear, take, tell }) {
  const answer = await fetch(url, { signal, cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error((await answer.text()).trim()), { status: answer.status });
  opened();
  const reader = answer.body.getReader();
  const head = new Uint8Array(16), fields = new DataView(head.buffer);
  let jpeg = null, got = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    hear();
    for (let at = 0; at < value.length;) {
      const into = jpeg ?? head;
      const n = Math.min(into.length - got, value.length - at);
      into.set(value.subarray(at, at + n), got);
      at += n;
      got += n;
      if (got < into.length) break;
      got = 0;
      if (jpeg) {
        if (head[0] >> 7) tell(JSON.parse(new TextDecoder().decode(jpeg)));
        else take({ jpeg, number: fields.getUint32(4), taken: Number(fields.getBigUint64(8)) / 1000 });
        jpeg = null;
        continue;
      }
      const length = fields.getUint32(0) & 0x7fffffff;
      if (length > maxFrame) throw new Error("this is not the camera's stream");
      if (length > 0) jpeg = new Uint8Array(length);
    }
  }
}

// decode gives up after some time: on a starved computer WebKit was seen never to answer.
function decode(jpeg) {
  return new Promise((done, failed) => {
    const timer = setTimeout(failed, maxDecode);
    createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })).then(done, failed).finally(() => clearTimeout(timer));
  });
}

function resize(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

// A Painter shows frames on a canvas. While one is decoded the newest of those that come
// waits, and the others are left out.
export class Painter {
  turns = 0; // quarters, clockwise
  mirrored = false;
  label = null; // gives what is written on a frame
  last = null; // the frame that is shown
  #screen; // takes decoded pictures as they are, if there is one
  #paper; // what is drawn on
  #drawn;
  #waiting = null;
  #busy = false;

  // `drawn` is told each frame that is shown, and null for one that cannot be.
  constructor(canvas, drawn) {
    const opaque = { alpha: false };
    this.#screen = navigator.vendor && canvas.getContext("bitmaprenderer", opaque); // takes Firefox, which has no vendor, twice the time
    this.#paper = (this.#screen ? document.createElement("canvas") : canvas).getContext("2d", opaque);
    this.#drawn = drawn;
  }

  async show(frame) {
    this.#waiting = frame;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#waiting) {
      const next = this.#waiting;
      this.#waiting = null;
      try {
        await this.#paint(await decode(next.jpeg), this.label?.(next));
      } catch {
        this.#drawn(null); // a damaged picture, or one that the browser has forgotten
        continue;
      }
      this.last = next;
      this.#drawn(next);
    }
    this.#busy = false;
  }

  // again shows the last frame once more, as it is to look now.
  again() {
    if (this.last && !this.#waiting) this.show(this.last);
  }

  async #paint(bitmap, label) {
    if (!this.#screen || this.turns || this.mirrored || label) {
      this.#draw(bitmap, label);
      bitmap.close(); // its memory would be freed much later
      if (!this.#screen) return;
      bitmap = await createImageBitmap(this.#paper.canvas);
    }
    resize(this.#screen.canvas, bitmap.width, bitmap.height);
    this.#screen.transferFromImageBitmap(bitmap);
  }

  #draw(bitmap, label) {
    const { width, height } = bitmap, c = this.#paper;
    const [w, h] = this.turns % 2 ? [height, width] : [width, height];
    resize(c.canvas, w, h);
    c.setTransform(1, 0, 0, 1, w / 2, h / 2);
    if (this.mirrored) c.scale(-1, 1);
    c.rotate(this.turns * Math.PI / 2);
    c.drawImage(bitmap, -width / 2, -height / 2);
    if (!label) return;
    const size = Math.max(12, Math.round(Math.min(w, h) / 24));
    c.resetTransform();
    c.font = `600 ${size}px system-ui, sans-serif`;
    c.fillStyle = "rgb(0 0 0 / .6)";
    c.fillRect(0, h - 2 * size, c.measureText(label).width + 1.5 * size, 2 * size);
    c.fillStyle = "#fff";
    c.fillText(label, .75 * size, h - .65 * size);
  }
}
