// The list is in English.
const { lang } = document.documentElement, names = new Intl.DisplayNames(lang, { type: "region" });
const all = [...document.querySelectorAll("#country option")].slice(1, -1);
for (const option of all) option.textContent = names.of(option.value);
all[0].before(...all.sort((a, b) => a.text.localeCompare(b.text, lang)));
