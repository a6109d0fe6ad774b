const { lang } = document.documentElement;
for (const button of document.querySelectorAll("[data-for]")) {
  const field = document.getElementById(button.dataset.for), texts = { password: button.textContent, text: button.dataset.hide };
  button.hidden = false;
  button.onclick = () => {
    field.type = field.type === "password" ? "text" : "password";
    button.textContent = texts[field.type];
  };
}
if (lang !== "en" && Intl.DisplayNames) { // the list is in English
  const names = new Intl.DisplayNames(lang, { type: "region" });
  const all = [...document.querySelectorAll("#country option")].filter(option => option.value.length === 2);
  for (const option of all) option.textContent = names.of(option.value);
  all[0]?.before(...all.sort((a, b) => a.text.localeCompare(b.text, lang)));
}
