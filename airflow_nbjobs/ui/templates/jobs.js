// Airflow frames this page at an address of its own: a reload of the window forgets what was asked for here, so this browser tab keeps it.
const KEPT = "nbjobs-jobs", CHOSEN = "nbjobs-chosen";
try {
  const kept = window.sessionStorage.getItem(KEPT);
  if (window.location.search) window.sessionStorage.setItem(KEPT, window.location.search);
  else if (kept && window.location.href.indexOf("?") < 0) window.location.replace(kept);
  else window.sessionStorage.removeItem(KEPT);
} catch { /* storage is off */ }
document.addEventListener("DOMContentLoaded", () => {
  const search = document.querySelector("form[role=search]");
  const compare = document.getElementById("compare");
  const boxes = () => [...document.querySelectorAll("tbody input[name=job]")];
  sendWhenChosen(search);

  // -- two jobs to compare: also of other pages and filters, so this browser tab keeps them ------------------------------

  const referenceOf = (value) => value.split(" ").pop();
  let chosen = [];
  try { chosen = JSON.parse(window.sessionStorage.getItem(CHOSEN) || "[]").filter((each) => each && typeof each.value === "string" && typeof each.label === "string"); } catch { /* storage is off */ }
  function showChosen() {
    const here = new Set(boxes().map((box) => referenceOf(box.value)));
    for (const box of boxes()) box.checked = chosen.some((each) => referenceOf(each.value) === referenceOf(box.value));
    for (const old of compare.querySelectorAll("input")) old.remove();
    for (const each of chosen) {
      if (here.has(referenceOf(each.value))) continue;
      const sent = document.createElement("input");
      Object.assign(sent, { type: "hidden", name: "job", value: each.value });
      compare.append(sent);
    }
    compare.querySelector("button").disabled = chosen.length !== 2;
    const said = chosen.length ? chosen.map((each) => each.label).join(" and ") : "none";
    compare.querySelector("span").textContent = `Chosen: ${said}${chosen.length > 2 ? ". Choose two" : ""}`;
    document.getElementById("unchoose").hidden = !chosen.length;
    try { window.sessionStorage.setItem(CHOSEN, JSON.stringify(chosen)); } catch { /* storage is off */ }
  }
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.name !== "job") return;
    chosen = chosen.filter((each) => referenceOf(each.value) !== referenceOf(box.value));
    if (box.checked) chosen.push({ value: box.value, label: box.dataset.label });
    showChosen();
  });
  document.getElementById("unchoose").addEventListener("click", () => { chosen = []; showChosen(); });
  showChosen();

  // -- by keyboard -----------------------------------------------------------------------------------------------------

  const help = document.getElementById("keys");
  document.getElementById("keys-button").addEventListener("click", () => help.showModal());
  const links = () => [...document.querySelectorAll("tbody tr[data-key] a[data-outer]")];
  function move(step) {
    const all = links();
    const row = document.activeElement && document.activeElement.closest("tr[data-key]");
    const now = row ? all.indexOf(row.querySelector("a[data-outer]")) : step > 0 ? -1 : all.length;
    const next = all[Math.min(Math.max(now + step, 0), all.length - 1)];
    if (!next) return;
    next.focus();
    next.closest("tr").scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const at = document.activeElement;
    if (at && (at.tagName === "SELECT" || at.tagName === "TEXTAREA" || (at.tagName === "INPUT" && at.type !== "checkbox"))) {
      if (event.key === "Escape") at.blur();
      return;
    }
    const row = at && at.closest("tr[data-key]");
    const keys = {
      j: () => move(1),
      k: () => move(-1),
      "/": () => search.querySelector("[name=text]").select(),
      "?": () => help.showModal(),
      ...(row ? { ArrowDown: () => move(1), ArrowUp: () => move(-1), x: () => { const box = row.querySelector("input[name=job]"); if (box) box.click(); } } : {}),
      ...(chosen.length === 2 ? { c: () => compare.requestSubmit() } : {}),
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  refreshInPlace(["tbody", "#total", "#sums", "#pages"], showChosen);
});
