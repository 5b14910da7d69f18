document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form");
  for (const select of form.querySelectorAll("select, input[type=date]")) select.addEventListener("change", () => form.requestSubmit());
});
