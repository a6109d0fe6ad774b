// The camera's clock, as far as this page knows it. Neither clock jumps when somebody sets
// the time: here it is performance.now(), there the camera's clock_us.
//
// The camera read its clock between our question and its answer, so each exchange tells two
// bounds of the difference. Of all of them the tightest hold, and these give way a little,
// because the clocks drift.
export class Clock {
  #low = -Infinity;
  #high = Infinity;
  #at = 0;

  // exchange notes that the camera's clock was `camera` between `asked` and `answered`; all
  // times here are in milliseconds.
  exchange(asked, answered, camera) {
    const drift = (answered - this.#at) * 2e-4;
    this.#at = answered;
    this.#low = Math.max(this.#low - drift, camera - answered);
    this.#high = Math.min(this.#high + drift, camera - asked);
    if (this.#low > this.#high) { // one of the clocks began anew
      this.#low = camera - answered;
      this.#high = camera - asked;
    }
  }

  forget() {
    this.#low = -Infinity;
    this.#high = Infinity;
  }

  // doubt is how far apart the bounds are.
  get doubt() { return this.#high - this.#low; }

  // age is how long ago the camera's clock was `taken`; NaN if that is not known.
  age(taken) {
    return Math.max(performance.now() + (this.#low + this.#high) / 2 - taken, 0);
  }
}
