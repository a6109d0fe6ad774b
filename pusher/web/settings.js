// The panel's sections about the camera's settings and its controls.
import { ask } from "./ask.js";
import { button, Field, row } from "./fields.js";
import { digits, make, show, words } from "./words.js";

// label is what a setting is called; what English calls as the API does is not among the words.
const label = name => words.fields[name] ?? name.replaceAll("_", " ").replace(/^./, c => c.toUpperCase());
const choice = value => words.choices[value] ?? value;
const optionsOf = choices => choices?.map(value => ({ value, text: choice(value) }));
const readable = value => value === null || value === "" ? words.nothing : choice({ true: "on", false: "off" }[value] ?? value);
const note = (...parts) => parts.filter(Boolean).join(" · ");

// Settings are the camera's, and the fields that show them. Others may change them, too: a
// change names the version that its owner saw.
export class Settings {
  all; // by name, as /api/settings has them
  #fields = new Map();

  constructor(answer) { this.#take(answer); }

  // load asks again if another answer came meanwhile, which may be newer.
  async load() {
    const { version } = this, answer = await ask("GET", "api/settings");
    return version === this.version ? this.#take(answer) : this.load();
  }

  // fields are those of the names that mean something to this camera. `options` gives what one
  // can be, if the setting itself does not say it.
  fields(names, options = () => {}) {
    const useful = name => this.all[name]?.changeable || this.all[name] && this.all[name].by !== "default";
    return names.filter(useful).map(name => {
      const field = new Field((value, seen) => this.#save(name, value, seen));
      this.#fields.set(name, { field, options });
      this.#show(name);
      return field.element;
    });
  }

  show() { for (const name of this.#fields.keys()) this.#show(name); }

  #take({ version, trouble = "", settings }) {
    Object.assign(this, { version, trouble, all: settings });
    this.show();
  }

  #show(name) {
    const { field, options } = this.#fields.get(name), setting = this.all[name];
    const { set, changeable, by, why, applies } = setting;
    field.show({
      ...setting, label: label(name), version: this.version, ...(set !== undefined && { type: "password", value: "" }),
      options: options(name, setting.value) ?? optionsOf(setting.choices), fixed: !changeable, changed: by === "settings",
      note: note(set !== undefined && (set ? words.hasPassword : words.hasNoPassword), changeable ? words.applies[applies] : words.by[by] ?? why),
    });
  }

  // save changes one setting, if nobody else has since its owner began to. Of a secret nobody
  // tells whether it is that which was changed.
  async #save(name, value, seen) {
    for (let { version } = seen; ; { version } = this) {
      try {
        return this.#take(await ask("PATCH", "api/settings", { [name]: value }, { "If-Match": `"${version}"` }));
      } catch (error) {
        if (error.status !== 412) throw error.fields?.[name] ? new Error(error.fields[name]) : error;
        await this.load();
        if (seen.set !== undefined) throw error;
      }
      const now = this.all[name].value; // perhaps only another setting was changed
      if (now !== seen.value) throw new Error(words.conflict(readable(now)));
    }
  }
}

// imageSection is about the picture: what the camera offers, and what it costs.
export async function imageSection(settings, on, { camera: { since } }) {
  const load = () => ask("GET", "api/camera");
  let camera = await load();
  const text = n => digits(n, n % 1 && n < 9.5 ? 1 : 0);
  const cost = ({ fps, mbit_per_s }) => words.costs(text(fps), text(mbit_per_s));
  const options = (name, value) => {
    const offered = size => camera.modes.filter(mode => !size || mode.size === size).flatMap(mode => mode.rates);
    const rates = size => [...new Map(offered(size).map(rate => [rate.fps, rate])).values()]; // a Pi camera has two formats of a size
    const all = name === "device" ? [{ value: "", text: "auto" }, ...camera.cameras.map(({ name, bus }) => ({ value: bus, text: name }))]
      : rates().length === 0 ? null : name === "size" ? [...new Set(camera.modes.map(mode => mode.size))].map(size =>
      ({ value: size, text: `${size.replace("x", "×")}, ${words.upTo(cost(rates(size).reduce((a, b) => a.fps > b.fps ? a : b)))}` }))
      : name === "fps" && rates(settings.all.size?.value).map(rate => ({ value: rate.fps, text: cost(rate) }));
    if (all && !all.some(o => o.value === value)) all.unshift({ value: value ?? "", text: readable(value) });
    return all || undefined;
  };
  on("state", async state => {
    if (state.camera.since === since) return; // a phase may have passed unseen
    camera = await load();
    since = state.camera.since;
    settings.show();
  });
  return settings.fields([...camera.cameras.length > 1 || settings.all.device?.value ? ["device"] : [], "size", "fps", "format", "quality", "bitrate"], options);
}

export async function cameraSection(settings, on) {
  let closed;
  const privacy = button("", () => ask("POST", "api/actions/privacy", { on: !closed }));
  privacy.hidden = true;
  on("state", state => {
    closed = state.settings?.privacy;
    privacy.hidden = closed === undefined;
    privacy.firstChild.textContent = closed ? words.publicNow : words.privateNow;
  });
  return [...settings.fields(["name", "led", "always_on", "idle_hold", "log_level"]), privacy];
}

export async function accessSection(settings, _, { unowned }) {
  const known = unowned !== undefined; // on a PC the owner's password is a flag
  return [...settings.fields(["viewing", "viewer_password", "max_viewers", "allow_host", "allow_origin"]), ...known ? password() : [], ...await tokens()];
}

// password is the owner's own. All other logins end with it.
function password() {
  const field = autocomplete => make("input", { type: "password", autocomplete, maxLength: 256 });
  const old = field("current-password"), now = field("new-password"), again = field("new-password"), said = make("p", { role: "status" });
  return [make("h3", { textContent: words.password }), row(words.oldPassword, old), row(words.newPassword, now), row(words.again, again), button(words.changePassword, async () => {
    if (now.value !== again.value) throw new Error(words.differ);
    await ask("POST", "api/password", new URLSearchParams({ old: old.value, new: now.value }));
    old.value = now.value = again.value = "";
    show(said, words.working);
  }), said];
}

// tokens let programs look that take only a URL.
async function tokens() {
  const list = make("ul"), secret = make("p", { role: "status" }), name = make("input", { maxLength: 64 });
  const load = async () => {
    const { tokens } = await ask("GET", "api/tokens");
    list.replaceChildren(...tokens.map(({ name }) => make("li", {}, name, button(words.revoke, async () => {
      await ask("DELETE", "api/tokens?" + new URLSearchParams({ name }));
      await load();
    }))));
  };
  await load();
  return [make("h3", { textContent: words.tokens }), list, row(words.tokenName, name), button(words.makeToken, async () => {
    const { url } = await ask("POST", "api/tokens", new URLSearchParams({ name: name.value }));
    secret.replaceChildren(words.tokenOnce, make("code", { textContent: new URL("api/" + url, location) }));
    name.value = "";
    await load();
  }), secret];
}

// controlsSection has the camera's own controls, which work at once.
export async function controlsSection(_, on, { camera: { since } }) {
  const fields = {}, box = make("div"), said = make("p", { className: "note" });
  const take = ({ set, by, camera, error = "" }) => {
    said.textContent = error;
    reset.hidden = !Object.values(by).includes("settings");
    for (const name in fields) if (!error && !camera.some(c => c.name === name)) { // another camera's
      fields[name].element.remove();
      delete fields[name];
    }
    for (const control of camera) {
      const { name, value, choices, read_only, inactive } = control, ruled = by[name] && by[name] !== "settings";
      const isSwitch = String(choices) === "off,on";
      if (!fields[name]) {
        fields[name] = new Field(async to => take(await ask("PATCH", "api/controls", { [name]: isSwitch && to !== null ? to ? "on" : "off" : to })), true);
        box.append(fields[name].element);
      }
      fields[name].show({
        ...control, label: label(name), type: isSwitch ? "boolean" : choices ? "string" : "integer", value: isSwitch ? value === "on" : value,
        options: isSwitch ? undefined : optionsOf(choices), fixed: Boolean(read_only || ruled || inactive), changed: value !== control.default,
        note: note(ruled && words.by[by[name]], inactive && words.inactive, set[name]?.trouble),
      });
    }
  };
  const reset = button(words.resetAll, async () => take(await ask("DELETE", "api/controls")));
  const load = async () => take(await ask("GET", "api/controls"));
  await load();
  on("controls", load);
  on("state", async ({ camera }) => {
    if (camera.phase !== "live" || camera.since === since && box.firstChild) return;
    await load();
    since = camera.since;
  });
  return [box, said, reset];
}
