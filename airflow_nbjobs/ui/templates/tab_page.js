// What every part of the tab asks for: a file of the job that is shown. tab.js tells the others of each answer (the event "nbjobs:answer").
function tabAddress(file, more = {}) {
  const page = document.body.dataset;
  const query = new URLSearchParams({ ...(page.requested ? { job: page.requested } : {}), ...more });
  return `${page.base}/${file}?${query}`;
}
// Where the reader is: in the address that they see, Airflow's where it frames this page, as the job is.
function placeIn(name, pattern) {
  const value = new URL((outer || window).location.href).searchParams.get(name) || "";
  return pattern.test(value) ? value : "";
}
// A part that asks for a place ("nbjobs:go") names its anchor, or says more of it: every text, too, has something called anchor.
const anchorOf = (detail) => typeof detail === "string" ? detail : detail.anchor;
const cellIn = () => placeIn("cell", /^(cell|nb-added)-\d{1,7}$/);
const isReportIn = () => placeIn("view", /^report$/) === "report";
function rememberPlace(values) {
  for (const place of outer ? [outer, window] : [window]) {
    const address = new URL(place.location.href);
    for (const [name, value] of Object.entries(values)) {
      if (value) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    place.history.replaceState(place.history.state, "", address);
  }
}
// Without HTTPS a browser gives no page its clipboard; the selection can be copied nevertheless.
async function copyText(text) {
  if (navigator.clipboard) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed */ }
  }
  const box = document.createElement("textarea");
  box.value = text;
  box.className = "visually-hidden";
  const before = document.activeElement;
  document.body.append(box);
  box.select();
  const isCopied = document.execCommand("copy");
  box.remove();
  if (before instanceof HTMLElement) before.focus();
  return isCopied;
}
function copyButton(button, text) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = await copyText(text()) ? "Copied" : "The browser refuses: copy it from the address";
    setTimeout(() => { button.textContent = button.dataset.label || label; }, 1500);
  });
}
