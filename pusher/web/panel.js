// The owner's panel: each section shows a part of the camera's API, if the camera has it.
import { ask } from "./ask.js";
import { deviceSection, helpSection, logSection, viewersSection, wifiSection } from "./device.js";
import { Live } from "./live.js";
import { accessSection, cameraSection, controlsSection, imageSection, Settings } from "./settings.js";
import { updateSection } from "./update.js";
import { at, make, show, translate, words } from "./words.js";

const sections = {
  image: imageSection, controls: controlsSection, camera: cameraSection, access: accessSection, wifi: wifiSection,
  device: deviceSection, update: updateSection, log: logSection, help: helpSection, viewers: viewersSection, // which grows and shrinks
};
const retry = 2000; // milliseconds, between two tries to reach the camera
const silence = 12_000; // milliseconds without the event beat, which comes every 5 s; after that the connection is dead
let live = null, events = null, pulse;

// enter asks whether this is the owner, and shows the panel or the form to log in.
async function enter() {
  try {
    await build(new Settings(await ask("GET", "api/settings")));
    live ??= new Live(at("picture"), { fps: "15", changed: () => show(at("word"), live.refusal || words[live.word]) });
  } catch (error) {
    if (error.status === undefined) throw error;
    const stranger = error.status === 401;
    at("login").hidden = !stranger;
    at("owner").hidden = at("leave").hidden = true;
    show(at("trouble"), stranger ? "" : error.status === 404 ? words.noOwner : error.message);
    if (!stranger) return void setTimeout(enter, retry);
    at("password").focus();
    return error.message;
  }
}

// build makes the sections. Each is elements, none if the camera has nothing for it, and hears
// of the events that it names.
async function build(settings) {
  const heard = {}, on = (event, what) => (heard[event] ??= []).push(what);
  const tell = (event, news) => heard[event].forEach(async what => {
    try {
      await what(news);
    } catch (error) {
      if (error.status === undefined) throw error; // a camera that refuses or is silent ends the events, too
    }
  });
  const called = settings.all.name?.value;
  on("settings", async ({ version }) => {
    if (settings.version !== version) await settings.load();
    const url = location.href.replace(`//${called}.local`, `//${settings.all.name?.value}.local`);
    if (url !== location.href) follow(url);
  });
  const state = await ask("GET", "api/state");
  const made = await Promise.all(Object.values(sections).map(section => section(settings, on, state)));
  tell("state", state);
  at("sections").replaceChildren(...Object.keys(sections).flatMap((id, i) => made[i].length
    ? [make("section", { id }, make("h2", { textContent: words.sections[id] }), ...made[i])] : []));
  at("login").hidden = true;
  at("owner").hidden = at("leave").hidden = false;
  const listen = () => {
    events?.close();
    tell("beat");
    events = new EventSource("api/events?viewers=1");
    for (const event in heard) events.addEventListener(event, ({ data }) => tell(event, JSON.parse(data)));
    events.onopen = () => show(at("trouble"), settings.trouble);
    events.onerror = ({ target }) => {
      show(at("trouble"), words.unreachable);
      if (target.readyState === EventSource.CLOSED) setTimeout(enter, retry); // as when the login is over
    };
  };
  on("beat", async () => {
    clearTimeout(pulse);
    pulse = setTimeout(() => {
      if (events.readyState === EventSource.CLOSED) return;
      show(at("trouble"), words.unreachable);
      listen();
    }, silence);
  });
  listen();
}

// follow goes to the camera's new name, when that leads to it. If it leads somewhere before
// the camera can have it, it is another camera's. There its owner must go by the link, and for
// https, which the browser does not trust there yet.
function follow(url) {
  events.close();
  live.hide();
  at("owner").hidden = at("leave").hidden = true;
  at("trouble").replaceChildren(words.reconnecting + " ", make("a", { href: url, textContent: url }));
  const look = first => fetch(url, { mode: "no-cors" }).then(() => first || location.assign(url), () => setTimeout(look, retry));
  look(true);
}

translate();
at("login").onsubmit = async event => {
  event.preventDefault();
  const problem = await ask("POST", "login", new URLSearchParams({ password: at("password").value })).then(enter).catch(error => error.message);
  show(at("login").lastElementChild, problem ?? "");
  at("password").value = "";
};
at("leave").onclick = () => ask("POST", "logout").catch(() => {}).then(() => location.reload());
enter();
