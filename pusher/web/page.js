"use strict";
// An <img> never recovers from a lost connection by itself, and Safari cannot
// read multipart with fetch: so the picture is an <img>, and /state, asked with
// short requests, tells when to load it again. That is when the camera has no
// viewer of this stream's name: it was restarted, or this computer slept and was
// dropped. The name is random, and long enough that no other page has the same.
const picture = document.getElementById("picture");
const state = document.getElementById("state");
let wait = 500, retry = 0, stream = "", missed = 0;

function show() {
  clearTimeout(retry);
  missed = 0;
  stream = Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(36)).join("");
  picture.src = "stream?name=" + stream;
}
function hide() {
  clearTimeout(retry);
  picture.removeAttribute("src");
}
function say(text, bad) {
  state.textContent = text;
  state.classList.toggle("bad", bad);
}
picture.onerror = () => {
  if (document.hidden || !picture.hasAttribute("src")) return;
  retry = setTimeout(show, wait);
  wait = Math.min(2 * wait, 5000);
};
picture.onload = () => { wait = 500; };

async function ask() {
  if (document.hidden) return;
  try {
    const answer = await fetch("state?viewer=" + stream, { signal: AbortSignal.timeout(4000) });
    const { camera, card, frame, network, viewers, watching, settings, setup, update } = await answer.json();
    document.getElementById("update").textContent = update?.message ?? "";
    const adjusted = camera.format?.adjusted ? ` · ${camera.format.adjusted}` : "";
    const trouble = [card?.trouble, settings?.trouble, setup?.trouble, network?.wifi?.why].filter(Boolean).map(t => ` · ${t}`).join("");
    missed = viewers.length > 0 ? 0 : missed + 1;
    if (missed > 1) show(); // once may be a stream that is only just coming
    if (camera.reason) say(camera.reason, true);
    else if (frame) say(`${camera.device.name} · ${frame.width}×${frame.height} · ${camera.phase}` +
      ` · picture ${(frame.age_ms / 1000).toFixed(1)} s old · ${watching} watching${adjusted}${trouble}`, frame.age_ms > 3000);
    else say(camera.phase + trouble, false);
  } catch {
    missed = 1;
    say("The camera does not answer; trying again …", true);
  }
}
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hide();
  else { show(); ask(); }
});
show();
ask();
setInterval(ask, 2000);
