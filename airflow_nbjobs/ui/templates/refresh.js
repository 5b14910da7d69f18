// A page over many runs is looked at again in place: what is typed, chosen, focused and scrolled to stays. Less often where nothing runs: between two
// runs of a backfill nothing does, and the next one is to be seen as well.
// Each thing in a part that is replaced has a name of its own in data-key.
const REFRESH_MILLISECONDS = 15000, QUIET_MILLISECONDS = 60000;
function refreshInPlace(parts, replaced = () => {}) {
  const keyed = (key) => (key === undefined ? null : document.querySelector(`[data-key="${CSS.escape(key)}"]`));
  const stops = (row) => [...row.querySelectorAll("a, input, button")];
  const inParts = (node) => parts.some((part) => document.querySelector(part)?.contains(node));
  function swap(next) {
    const active = document.activeElement;
    const row = inParts(active) ? active.closest("[data-key]") : null;
    const focused = row ? { key: row.dataset.key, place: stops(row).indexOf(active) } : null;
    const seen = [...document.querySelectorAll("[data-key]")].find((each) => each.getBoundingClientRect().bottom > 0);
    const anchor = seen ? { key: seen.dataset.key, top: seen.getBoundingClientRect().top } : null;
    for (const part of parts) document.querySelector(part).replaceWith(document.adoptNode(next.querySelector(part)));
    showTimes(document);
    const again = focused && keyed(focused.key);
    if (again) (stops(again)[focused.place] || stops(again)[0])?.focus({ preventScroll: true });
    const there = anchor && keyed(anchor.key);
    if (there) window.scrollBy(0, there.getBoundingClientRect().top - anchor.top);
    replaced();
  }
  const pause = () => (document.querySelector("[data-live=true]") ? REFRESH_MILLISECONDS : QUIET_MILLISECONDS);
  async function refresh() {
    try {
      const selection = document.getSelection();
      const isRead = selection && !selection.isCollapsed && inParts(selection.anchorNode);
      if (document.visibilityState === "visible" && !isRead) {
        const response = await fetch(window.location.href, { credentials: "same-origin" });
        const next = new DOMParser().parseFromString(await response.text(), "text/html");
        if (response.ok && parts.every((part) => next.querySelector(part))) swap(next);
      }
    } catch { /* looked at again */ }
    setTimeout(refresh, pause());
  }
  setTimeout(refresh, pause());
}
function sendWhenChosen(form) {
  for (const each of form.querySelectorAll("select, input[type=date]")) each.addEventListener("change", () => form.requestSubmit());
}
