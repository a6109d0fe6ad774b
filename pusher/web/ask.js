// Requests to the camera's API (README.md, /api).
import { words } from "./words.js";

// Problem is the camera's answer if that is not what was asked for. Its status is 0 if there
// was none; `fields` has a sentence for each that is wrong.
export class Problem extends Error {
  constructor(status, sentence, fields) {
    super(sentence);
    Object.assign(this, { status, fields });
  }
}

// ask gives what the camera answers: JSON as a value, anything else as text. A body that is
// no form and no file is sent as JSON.
export async function ask(method, path, body, headers) {
  const json = body !== undefined && !(body instanceof URLSearchParams || body instanceof Blob);
  let answer, text;
  try {
    answer = await fetch(path, {
      method, body: json ? JSON.stringify(body) : body, cache: "no-store", signal: AbortSignal.timeout(15_000),
      headers: { Accept: "application/json", ...(json && { "Content-Type": "application/json" }), ...headers },
    });
    text = await answer.text();
  } catch {
    throw new Problem(0, words.unreachable);
  }
  const value = answer.headers.get("Content-Type")?.startsWith("application/json") ? JSON.parse(text) : text;
  if (!answer.ok) throw new Problem(answer.status, value.error ?? text.trim(), value.fields);
  return value;
}
