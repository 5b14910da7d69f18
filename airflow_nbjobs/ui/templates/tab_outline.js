// The outline, in the notebook's order or by time; the switch between notebook and report; links to share.
document.addEventListener("DOMContentLoaded", () => {
  const byId = (id) => document.getElementById(id);
  const outline = byId("outline"), byTime = byId("by-time"), bar = byId("bar"), cellLink = byId("copy-cell");
  let shown = null, job = "", cell = cellIn();

  function entryOf(entry) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.level = entry.level;
    if (entry.is_failed) button.dataset.failed = "";
    const text = document.createElement("span");
    text.textContent = entry.text;
    button.append(text);
    if (entry.seconds !== null && entry.seconds >= 0.05) {
      const time = document.createElement("small");
      time.textContent = entry.seconds < 60 ? `${entry.seconds.toFixed(1)} s` : `${Math.round(entry.seconds / 60)} min`;
      button.append(time);
    }
    button.addEventListener("click", () => document.dispatchEvent(new CustomEvent("nbjobs:go", { detail: entry.anchor })));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  function showOutline() {
    const isByTime = byTime.getAttribute("aria-pressed") === "true";
    const { notebook, isReport } = shown;
    const listed = isByTime ? notebook.slowest : notebook.outline;
    const inReport = new Set(notebook.in_report);
    outline.querySelector("ol").replaceChildren(...listed.filter((entry) => !isReport || inReport.has(entry.anchor)).map(entryOf));
    byTime.hidden = notebook.slowest.length === 0;
    outline.hidden = notebook.outline.length === 0 && notebook.slowest.length === 0;
  }

  function showPlace() {
    cellLink.hidden = !cell;
    const number = /^cell-(\d+)$/.exec(cell);
    cellLink.textContent = cellLink.dataset.label = number ? `Copy link to cell ${number[1]}` : "Copy link to this cell";
  }

  byTime.addEventListener("click", () => {
    byTime.setAttribute("aria-pressed", String(byTime.getAttribute("aria-pressed") !== "true"));
    showOutline();
  });
  for (const button of bar.querySelectorAll("[data-view]"))
    button.addEventListener("click", () => document.dispatchEvent(new CustomEvent("nbjobs:view", { detail: button.dataset.view })));

  document.addEventListener("nbjobs:answer", ({ detail: answer }) => {
    // A link names its job: after the next try the task's own would be another.
    job = answer.facts && answer.attempts && answer.attempts.length ? answer.facts.job_name : "";
  });
  document.addEventListener("nbjobs:shown", ({ detail }) => {
    shown = detail;
    bar.hidden = false;
    for (const button of bar.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String((button.dataset.view === "report") === detail.isReport));
    showOutline();
    showPlace();
  });
  document.addEventListener("nbjobs:go", ({ detail }) => { cell = anchorOf(detail); showPlace(); });

  function link(withCell) {
    const address = new URL((outer || window).location.href);
    address.hash = "";
    if (job) address.searchParams.set("job", job);
    if (withCell) address.searchParams.set("cell", cell);
    else address.searchParams.delete("cell");
    return address.href;
  }
  copyButton(byId("copy-link"), () => link(false));
  copyButton(cellLink, () => link(true));
});
