// Zoom by wheel, pinch, double click and buttons. What is enlarged can be dragged.
const most = 8;

export class Zoom {
  #stage;
  #picture;
  #scale = 1;
  #x = 0; // of the picture's middle, in pixels from the stage's
  #y = 0;
  #pointers = new Map(); // that touch the picture

  constructor(stage, picture) {
    this.#stage = stage;
    this.#picture = picture;
    stage.addEventListener("wheel", e => {
      e.preventDefault();
      this.by(Math.exp(-Math.max(-100, Math.min(e.deltaY, 100)) / 300), e);
    }, { passive: false });
    stage.addEventListener("dblclick", e => this.by(this.#scale > 1 ? 1 / this.#scale : 2.5, e));
    stage.addEventListener("pointerdown", e => {
      stage.setPointerCapture(e.pointerId);
      this.#pointers.set(e.pointerId, e);
    });
    stage.addEventListener("pointermove", e => this.#move(e));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, e => this.#pointers.delete(e.pointerId));
    addEventListener("resize", () => this.#apply());
  }

  // by zooms by a factor. What is at a point of the page stays there.
  by(factor, at) {
    const box = this.#stage.getBoundingClientRect();
    const px = at ? at.clientX - box.x - box.width / 2 : 0, py = at ? at.clientY - box.y - box.height / 2 : 0;
    const scale = Math.max(1, Math.min(this.#scale * factor, most));
    this.#x = px - (px - this.#x) * scale / this.#scale;
    this.#y = py - (py - this.#y) * scale / this.#scale;
    this.#scale = scale;
    this.#apply();
  }

  pan(dx, dy) {
    this.#x += dx;
    this.#y += dy;
    this.#apply();
  }

  #move(e) {
    const before = this.#pointers.get(e.pointerId);
    if (!before) return;
    this.#pointers.set(e.pointerId, e);
    const others = [...this.#pointers.values()].filter(p => p.pointerId !== e.pointerId);
    if (others.length === 0) {
      this.pan(e.clientX - before.clientX, e.clientY - before.clientY);
    } else if (others.length === 1) {
      const [other] = others;
      const distance = p => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      const middle = { clientX: (e.clientX + other.clientX) / 2, clientY: (e.clientY + other.clientY) / 2 };
      this.pan((e.clientX - before.clientX) / 2, (e.clientY - before.clientY) / 2);
      this.by(distance(e) / distance(before), middle);
    }
  }

  #apply() {
    const room = size => size * (this.#scale - 1) / 2;
    const mx = room(this.#stage.clientWidth), my = room(this.#stage.clientHeight);
    this.#x = Math.max(-mx, Math.min(this.#x, mx));
    this.#y = Math.max(-my, Math.min(this.#y, my));
    this.#picture.style.transform = this.#scale > 1 ? `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})` : "";
    this.#stage.classList.toggle("zoomed", this.#scale > 1);
  }
}
