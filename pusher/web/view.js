// The picture alone, for walls and for frames in other pages.
import { Live } from "./live.js";
import { at, show, translate, words } from "./words.js";

const asked = new URLSearchParams(location.search);

translate();
document.body.classList.toggle("cover", asked.get("fit") === "cover");
show(at("label"), asked.get("label") ?? "");
const live = new Live(at("picture"), {
  fps: asked.get("fps") ?? "",
  changed: () => show(at("word"), live.refusal || (live.word === "live" ? "" : words[live.word])),
});
