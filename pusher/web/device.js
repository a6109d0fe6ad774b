// The panel's sections about what is around the camera.
import { ask } from "./ask.js";
import { button, row } from "./fields.js";
import { digits, make, show, words } from "./words.js";

export async function wifiSection(_, on, state) {
  if (!state.network?.wifi) return [];
  const status = make("p", { role: "status" }), known = make("ul"), heard = make("datalist", { id: "heard" });
  const ssid = make("input", { maxLength: 32 }), password = make("input", { type: "password", autocomplete: "off" }), country = make("input", { maxLength: 2 });
  let listed;
  ssid.setAttribute("list", "heard");
  const take = wifi => {
    const { network, seen, change, missed, why } = wifi;
    show(status, [network ? words.joined(network.ssid, network.signal_dbm) : words.notJoined, missed, why, change && words.change[change.state](change.ssid), change?.why].filter(Boolean).join(" "));
    const others = wifi.known.filter(name => name !== network?.ssid);
    if (String(others) !== listed) {
      known.replaceChildren(...others.map(name => make("li", {}, name, button(words.forget, async () => take(await ask("DELETE", "api/wifi?" + new URLSearchParams({ ssid: name })))))));
      listed = String(others);
    }
    heard.replaceChildren(...seen.map(s => new Option(`${s.ssid}, ${s.signal_dbm} dBm, ${s.security}`, s.ssid)));
    country.placeholder = wifi.country ?? "";
  };
  const load = async () => take(await ask("GET", "api/wifi"));
  await load();
  on("state", load);
  return [status, known, heard, row(words.network, ssid), row(words.wifiPassword, password), row(words.country, country),
    make("p", { className: "note", textContent: words.joinNote }),
    button(words.join, async () => take(await ask("PUT", "api/wifi", { ssid: ssid.value, password: password.value || undefined, country: country.value || undefined })))];
}

export async function viewersSection(_, on) {
  const cells = (tag, parts) => make("tr", {}, ...parts.map(part => make(tag, {}, part)));
  const known = new Map(), rows = make("tbody"), head = cells("th", words.viewer), table = make("div", { className: "wide", tabIndex: 0 }, make("table", {}, make("thead", {}, head), rows));
  head.append(make("td"));
  const nobody = make("p", { textContent: words.nobody });
  on("viewers", all => {
    table.hidden = all.length === 0;
    nobody.hidden = all.length > 0;
    const gone = new Set(known.keys());
    for (const { address, seconds, age_ms, link_bits_per_s } of all) {
      gone.delete(address);
      if (!known.has(address)) { // a row stays as long as its viewer, and so does the focus in it
        known.set(address, cells("td", ["", "", "", "", button(words.drop, () => ask("DELETE", "api/viewers?" + new URLSearchParams({ address })))]));
        rows.append(known.get(address));
      }
      [address, seconds < 99 ? digits(seconds, 0) + " s" : digits(seconds / 60, 0) + " min", digits(age_ms / 1000, 2) + " s",
        link_bits_per_s ? digits(link_bits_per_s / 1e6, 1) + " Mbit/s" : ""].forEach((text, i) => show(known.get(address).cells[i], text));
    }
    for (const address of gone) {
      known.get(address).remove();
      known.delete(address);
    }
  });
  table.hidden = true;
  return [nobody, table];
}

export async function deviceSection(_, on) {
  const said = make("p", { role: "status" });
  const post = async (action, body) => { await ask("POST", "api/actions/" + action, body); show(said, words.working); };
  const lights = button(words.ledTest, () => post("led-test"));
  const power = ["reboot", "poweroff"].map(action => button(words[action], async () => { if (words.sure[action].every(question => confirm(question))) await post(action, { sure: true }); }));
  on("state", ({ panel, network }) => {
    lights.hidden = !panel?.leds;
    for (const b of power) b.hidden = !network; // only an appliance has one
    show(said, panel?.meaning ?? "");
  });
  on("button", ({ pressed }) => show(said, pressed ? words.pressed : words.released));
  return [said, button(words.restartCamera, () => post("restart-camera")), lights, ...power];
}

export async function logSection() {
  const lines = make("pre", { tabIndex: 0, lang: "en" }), filter = make("input", { type: "search" });
  const level = make("select", {}, ...["debug", "info", "warn", "error"].map(l => new Option(words.choices[l], l)));
  level.value = "info";
  const wanted = () => "api/log?" + new URLSearchParams({ level: level.value, q: filter.value });
  const load = async () => {
    const asked = wanted();
    lines.textContent = await ask("GET", asked) || words.nothing;
    if (wanted() !== asked) await load(); // something else was chosen meanwhile
  };
  filter.onchange = level.onchange = () => read.firstChild.click();
  const read = button(words.read, load);
  return [row(words.filter, filter), row(words.level, level), read, lines];
}

export async function helpSection() {
  const text = make("textarea", { readOnly: true, rows: 12, hidden: true, ariaLabel: words.sections.help, lang: "en" });
  const copy = button(words.copy, async () => {
    text.select();
    document.execCommand("copy"); // the other way is only there with https
  });
  copy.hidden = true;
  return [button(words.report, async () => {
    text.value = await ask("GET", "api/report");
    text.hidden = copy.hidden = false;
  }), copy, text];
}
