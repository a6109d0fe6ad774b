// The camera's clock (clock_us) against this page's (performance.now()). Neither jumps when
// somebody sets the time. The camera read its own between our question and its answer, so
// each exchange bounds the difference. The tightest bounds hold, and give way a little,
// because the clocks drift.
export class Clock {
  #low = -Infinity;
  #high = Infinity;
  #at = 0;

  // exchange notes that the camera's clock was `camera` between `asked` and `answered`, all
  // in milliseconds.
  exchange(asked, answered, camera) {
    const drift = (answered - this.#at) * 2e-4;
    this.#at = answered;
    this.#low = Math.max(this.#low - drift, camera - answered);
    this.#high = Math.min(this.#high + drift, camera - asked);
    if (this.#low > this.#high) [this.#low, this.#high] = [camera - answered, camera - asked]; // one of the clocks began anew
  }

  get doubt() { return this.#high - this.#low; }

  // age is how long ago the camera's clock was `taken`; NaN if that is not known.
  age(taken) { return Math.max(performance.now() + (this.#low + this.#high) / 2 - taken, 0); }
}
