for (const button of document.querySelectorAll("[data-for]")) {
  const field = document.getElementById(button.dataset.for);
  button.hidden = false;
  button.onclick = () => {
    const show = field.type === "password";
    field.type = show ? "text" : "password";
    button.textContent = show ? "{{hide}}" : "{{show}}";
  };
}
