const REFRESH_MILLISECONDS = 15000;
// Airflow frames this page at an address of its own: a reload of the window forgets what was asked for here, so this browser tab keeps it.
const KEPT = "nbjobs-jobs";
try {
  const kept = window.sessionStorage.getItem(KEPT);
  if (window.location.search) window.sessionStorage.setItem(KEPT, window.location.search);
  else if (kept && window.location.href.indexOf("?") < 0) window.location.replace(kept);
  else window.sessionStorage.removeItem(KEPT);
} catch { /* storage is off */ }
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form");
  for (const select of form.querySelectorAll("select, input[type=date]")) select.addEventListener("change", () => form.requestSubmit());
  // Jobs that run are looked at again, in place: what is typed, chosen and scrolled to stays.
  async function refresh() {
    const body = document.querySelector("tbody");
    try {
      if (document.visibilityState === "visible" && body.dataset.live === "true" && !body.contains(document.activeElement)) {
        const response = await fetch(window.location.href, { credentials: "same-origin" });
        const next = new DOMParser().parseFromString(await response.text(), "text/html");
        if (response.ok && next.querySelector("tbody")) {
          for (const part of ["tbody", "#total"]) document.querySelector(part).replaceWith(document.adoptNode(next.querySelector(part)));
          showTimes(document);
        }
      }
    } catch { /* looked at again */ }
    setTimeout(refresh, REFRESH_MILLISECONDS);
  }
  setTimeout(refresh, REFRESH_MILLISECONDS);
});
