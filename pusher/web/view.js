// The picture alone, for walls and for frames in other pages.
import { Live } from "./live.js";
import { show, translate, words } from "./words.js";

const asked = new URLSearchParams(location.search);
const word = document.getElementById("word"), label = document.getElementById("label");

translate();
document.body.classList.toggle("cover", asked.get("fit") === "cover");
show(label, asked.get("label") ?? "");
const live = new Live(document.getElementById("picture"), {
  fps: asked.get("fps") ?? "",
  changed() {
    show(word, live.refusal || (live.word === "live" ? "" : words[live.word]));
  },
});
