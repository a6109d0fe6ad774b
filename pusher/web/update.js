// The panel's section about updates.
import { ask } from "./ask.js";
import { button, row } from "./fields.js";
import { make, show, words } from "./words.js";

// Milliseconds, without progress of an upload, and until it is answered when all is sent.
const stalled = 30_000, answer = 120_000;
const tries = 5;

// unpack finds the files of an archive (a zip that is not compressed), as parts of the file on
// the disk.
async function unpack(file) {
  const view = async (at, end) => new DataView(await file.slice(at, end).arrayBuffer());
  const files = {}, tail = await view(-65_557); // the directory's end and a comment behind it
  let end = tail.byteLength - 22;
  while (tail.getUint32(end) !== 0x504b0506) end--;
  const first = tail.getUint32(end + 16, true), directory = await view(first, first + tail.getUint32(end + 12, true));
  for (let at = 0; at < directory.byteLength;) {
    const [name, extra, comment] = [28, 30, 32].map(n => directory.getUint16(at + n, true)), begin = directory.getUint32(at + 42, true);
    const head = await view(begin, begin + 30), start = begin + 30 + head.getUint16(26, true) + head.getUint16(28, true);
    files[new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, name))] = file.slice(start, start + directory.getUint32(at + 20, true));
    at += 46 + name + extra + comment;
  }
  return files;
}

const hex = bytes => Array.from(new Uint8Array(bytes), b => b.toString(16).padStart(2, "0")).join("");

// upload sends a part once. The browser reads it from the disk meanwhile.
function upload(part, blob, sum, sent) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    let timer;
    const watch = time => { clearTimeout(timer); timer = setTimeout(() => request.abort(), time); };
    request.upload.onprogress = ({ loaded, total }) => { watch(loaded < total ? stalled : answer); sent(loaded); };
    request.onloadend = () => {
      clearTimeout(timer);
      const { status, responseText } = request;
      if (status === 204) done();
      else failed(Object.assign(new Error(responseText.trim() || words.unreachable), { status }));
    };
    request.open("PUT", "api/update/" + part);
    request.setRequestHeader("Content-Digest", `sha-256=:${btoa(String.fromCharCode(...sum.match(/../g).map(two => "0x" + two)))}:`);
    watch(stalled);
    request.send(blob);
  });
}

// again is upload, some times if it breaks off. The camera may take a while to notice that.
async function again(...what) {
  for (let n = 1; ; n++) {
    try {
      return await upload(...what);
    } catch (error) {
      if (n === tries || error.status && (n === 1 || error.status !== 409)) throw error;
    }
    await new Promise(done => setTimeout(done, 500 << n));
  }
}

// send sends an update, and has the camera try it.
async function send(file, withKernel, sent) {
  const files = await unpack(file).catch(() => ({}));
  const manifest = await files["manifest.signed"]?.text(), root = files["root.img"], boot = withKernel && files["boot.img"];
  if (!root) throw new Error(words.notAnUpdate);
  if (manifest) await ask("PUT", "api/update/manifest", new Blob([manifest]));
  const said = manifest ? JSON.parse(manifest.split("\n", 1)) : {}, query = new URLSearchParams();
  const parts = { ...(boot && { boot }), root }, all = root.size + (boot ? boot.size : 0);
  let before = 0;
  for (const [part, blob] of Object.entries(parts)) {
    const sum = said[part]?.sha256 ?? hex(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
    await again(part, blob, sum, loaded => sent((before + loaded) / all));
    query.set(part, sum);
    before += blob.size;
  }
  const go = more => ask("POST", "api/update/try?" + query + more, undefined, {}, answer);
  return go("").catch(error => {
    if (error.status === 428 && confirm(error.message + "\n" + words.sure.blind)) return go("&picture=no");
    throw error;
  });
}

export async function updateSection(_, on, { update, program, tls }) {
  if (!update) return [];
  const now = make("p"), status = make("p", { role: "status" });
  const take = ({ update }) => show(status, update.phase === "receiving" ? words.receiving : update.message || (update.last?.state === "committed" ? words.committed(update.last.to) : ""));
  on("state", take);
  show(now, words.version(program.version));
  if (!isSecureContext) { // passwords and updates go by TLS only
    const url = Object.assign(new URL(location), { protocol: "https:", port: tls?.port ?? 443 });
    return [now, status, make("p", {}, words.onlySecure, make("a", { href: url, textContent: url }))];
  }
  const file = make("input", { type: "file", accept: ".gaf" }), kernel = make("input", { type: "checkbox" });
  const progress = make("progress", { hidden: true, ariaLabel: words.receiving });
  return [now, status, row(words.updateFile, file), row(words.withKernel, kernel), button(words.update, async () => {
    if (!file.files[0]) throw new Error(words.noFile);
    if (kernel.checked && !confirm(words.sure.kernel)) return;
    progress.value = 0;
    progress.hidden = false;
    await send(file.files[0], kernel.checked, part => { progress.value = part; }).finally(() => { progress.hidden = true; });
  }), progress];
}
