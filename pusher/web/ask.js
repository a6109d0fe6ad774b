// Requests to the camera's API (README.md, /api).
import { words } from "./words.js";

// ask gives what the camera answers: JSON as a value, anything else as text. A body that is
// no form and no file is sent as JSON. Its errors have the answer's status, 0 without one,
// and in `fields` a sentence for each that is wrong.
export async function ask(method, path, body, headers, wait = 15_000) {
  const json = body !== undefined && !(body instanceof URLSearchParams || body instanceof Blob);
  let answer, text;
  try {
    answer = await fetch(path, {
      method, body: json ? JSON.stringify(body) : body, cache: "no-store", signal: AbortSignal.timeout(wait),
      headers: { Accept: "application/json", ...(json && { "Content-Type": "application/json" }), ...headers },
    });
    text = await answer.text();
  } catch {
    throw Object.assign(new Error(words.unreachable), { status: 0 });
  }
  const value = answer.headers.get("Content-Type")?.startsWith("application/json") ? JSON.parse(text) : text;
  if (answer.ok) return value;
  throw Object.assign(new Error(value.error ?? text.trim()), { status: answer.status, fields: value.fields });
}
