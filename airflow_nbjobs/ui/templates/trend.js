document.addEventListener("DOMContentLoaded", () => {
  sendWhenChosen(document.querySelector("form"));
  refreshInPlace(["#said", "#legend", "#charts", "#pages", "thead", "tbody"]);
});
