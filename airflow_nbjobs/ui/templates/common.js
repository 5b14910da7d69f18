"use strict";
// Airflow's page around this one is of the same origin: its theme is ours.
const outer = (() => { try { return window.parent !== window && window.parent.document ? window.parent : null; } catch { return null; } })();
function themeNow() {
  if (outer) {
    const classes = outer.document.documentElement.classList;
    if (classes.contains("dark")) return "dark";
    if (classes.contains("light")) return "light";
  }
  let stored = null;
  try { stored = window.localStorage.getItem("theme"); } catch { /* storage is off */ }
  if (stored === "dark" || stored === "light") return stored;
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
const themeListeners = [];
function applyTheme() {
  const theme = themeNow();
  if (document.documentElement.dataset.theme === theme) return;
  document.documentElement.dataset.theme = theme;
  themeListeners.forEach((listen) => listen(theme));
}
applyTheme();
if (outer) new MutationObserver(applyTheme).observe(outer.document.documentElement, { attributes: true, attributeFilter: ["class"] });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
function showTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      element.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
      element.title = element.dateTime;
    }
  }
}
// Of several frames that come one after another the last one stays, whichever of the others has not come.
function removeFramesBefore(frame) {
  while (frame.previousElementSibling instanceof HTMLIFrameElement) frame.previousElementSibling.remove();
}
// Airflow frames this page without allowing it to open windows; the outer document may.
function openApart(address) {
  const place = (outer || window).document;
  const link = place.createElement("a");
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  place.body.append(link);
  link.click();
  link.remove();
}
// Airflow frames this page without allowing it to navigate the window, nor, before 3.3, to save a file; a link of the outer document may.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-outer], a[download]") : null;
  if (!link || !outer || event.defaultPrevented || event.button !== 0) return;
  event.preventDefault();
  const ours = outer.document.createElement("a");
  const address = link.getAttribute("href");  // of a link in a drawing, which has no text for an address
  ours.href = new URL(address, document.baseURI).href;
  ours.rel = "noopener noreferrer";
  if (link.hasAttribute("download")) ours.download = link.getAttribute("download");
  else if (link.getAttribute("target") || event.ctrlKey || event.metaKey || event.shiftKey) ours.target = "_blank";
  outer.document.body.append(ours);
  ours.click();
  ours.remove();
});
document.addEventListener("DOMContentLoaded", () => showTimes(document));
