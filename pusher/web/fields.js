// What the panel is made of.
import { make, words } from "./words.js";

// button does something, and says beside it what goes wrong.
export function button(text, what) {
  const said = make("span", { className: "wrong", role: "alert" });
  const b = make("button", { type: "button", textContent: text, async onclick() {
    if (b.ariaBusy) return; // a disabled button would lose the focus
    b.ariaBusy = "true";
    said.textContent = "";
    said.textContent = await what().then(() => "", error => error.message);
    b.ariaBusy = null;
  } });
  return make("span", { className: "button" }, b, said);
}

let fields = 0; // that were made

// row is an input with its label.
export function row(label, input, ...more) {
  input.id ||= "field" + ++fields;
  return make("div", { className: "field" }, make("label", { htmlFor: input.id, textContent: label }), make("span", { className: "input" }, input), ...more);
}

// A Field is an input for something that the camera keeps. While its owner changes it, what
// comes from the camera leaves it alone.
export class Field {
  element = make("div");
  #said; // what the camera says of it
  #begun = null; // what it had said when the owner began
  #shape;
  #input;
  #save;
  #live;
  #next; // the value to be sent when the one before is kept
  #sending = false;
  #typed; // while a value was sent
  #number = make("output");
  #note = make("p", { className: "note" });
  #wrong = make("p", { className: "wrong", role: "alert" });
  #reset = make("button", { type: "button", className: "reset", textContent: "↺", onclick: () => { this.#begin(); this.#send(null); } });

  // `save` keeps a value, null for the default, or throws why not; it hears what the owner had
  // seen, too. A number of a `live` field is a slider, and is sent while that moves.
  constructor(save, live) {
    this.#save = save;
    this.#live = live;
    this.element.addEventListener("input", () => {
      this.#begin();
      this.#typed = true;
      this.#count();
      if (this.#input.type === "range") this.#send(this.#value());
    });
    this.element.addEventListener("change", () => {
      this.#begin(); // no "input" was heard before it, or was while the value before was sent
      this.#send(this.#value());
    });
  }

  // show shows what the camera says: label, value, what it can be, and who rules it.
  show(said) {
    this.#said = said;
    if (this.#begun) return;
    const { label, type, options, minimum, maximum, step, value } = said;
    const shape = JSON.stringify([type, options, minimum, maximum]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      const number = type === "number" || type === "integer";
      this.#input = options ? make("select", {}, ...options.map(o => new Option(o.text, o.value))) : make("input", {
        type: type === "boolean" ? "checkbox" : type === "password" ? type : !number ? "text" : this.#live ? "range" : "number",
        min: minimum ?? "", max: maximum ?? "", step: step ?? (type === "integer" ? 1 : "any"), placeholder: value === null ? words.own : "", autocomplete: type === "password" ? "new-password" : "off",
      });
      this.element.replaceChildren(row(label, this.#input, this.#note, this.#wrong));
      this.#input.after(this.#number, this.#reset);
      this.#note.id = this.#input.id + "note";
      this.#input.setAttribute("aria-describedby", this.#note.id);
      this.#reset.ariaLabel = this.#reset.title = words.reset(label);
    }
    this.#input.disabled = said.fixed;
    this.#reset.hidden = !said.changed || said.fixed;
    this.#note.textContent = said.note;
    if (type === "boolean") this.#input.checked = value;
    else if (type !== "password") this.#input.value = value ?? "";
    this.#count();
  }

  #begin() { this.#begun ??= this.#said; }

  #count() { this.#number.textContent = this.#input.type === "range" ? this.#input.value : ""; }

  #value() {
    const { value, checked } = this.#input, { type } = this.#said;
    return type === "boolean" ? checked : value === "" ? null : ["number", "integer"].includes(type) ? Number(value) : value;
  }

  // send keeps a value. While one is under way, the newest waits.
  async #send(value) {
    this.#next = { value };
    if (this.#sending) return;
    this.#sending = true;
    let problem;
    while (this.#next) {
      const { value } = this.#next;
      this.#next = this.#typed = null;
      problem = await this.#save(value, this.#begun).then(() => "", error => error.message);
      this.#begun = this.#said;
    }
    this.#sending = false;
    if (!this.#typed) {
      this.#begun = null;
      this.#input.value = "";
      this.show(this.#said);
    }
    this.#wrong.textContent = problem;
    this.#input.ariaInvalid = String(problem !== "");
  }
}
