const REFRESH_MILLISECONDS = 5000;
document.addEventListener("DOMContentLoaded", () => {
  const page = document.body.dataset;
  const query = (more) => "?" + new URLSearchParams({ ...(page.asked ? { job: page.asked } : {}), ...more });
  const byId = (id) => document.getElementById(id);
  const stage = byId("notebook");
  let frame = null, anchor = "", tag = "";

  function showFrame() {
    const theme = document.documentElement.dataset.theme;
    const next = `${page.base}/notebook.html${query({ theme, v: tag })}${anchor ? "#" + anchor : ""}`;
    if (!frame) {
      // No allowance at all: what a notebook wrote has an origin of its own and runs nothing, whatever the answer's own policy says.
      frame = document.createElement("iframe");
      frame.setAttribute("sandbox", "");
      frame.title = "Executed notebook";
      stage.append(frame);
    }
    frame.src = next;
  }
  themeListeners.push(() => { if (frame) showFrame(); });

  function goTo(place) { anchor = place; showFrame(); frame.focus(); }

  function showFacts(facts) {
    for (const [name, value] of Object.entries(facts)) {
      const element = document.querySelector(`[data-fact="${name}"]`);
      if (!element || value === null) continue;
      if (element instanceof HTMLTimeElement) element.dateTime = value;
      element.textContent = value;
      const group = element.closest("dl > div");
      if (group) group.hidden = false;
    }
    showTimes(document);
    if (page.asked && facts.state) { byId("state").dataset.state = facts.state; byId("state").textContent = (facts.status || facts.state).toLowerCase(); }
  }

  function showFiles() {
    for (const link of document.querySelectorAll("[data-file]")) {
      link.href = `${page.base}/${link.dataset.file}${query(link.dataset.file === "notebook.html" ? { download: "true" } : {})}`;
      link.hidden = false;
    }
  }

  function showAttempts(attempts, current) {
    if (!attempts || attempts.length < 2) return;
    const select = byId("attempts").querySelector("select");
    select.replaceChildren(...attempts.map((each) => new Option(`Job ${each.label}`, each.job_name, false, each.job_name === current)));
    select.addEventListener("change", () => {
      const target = new URL(window.location.href);
      target.searchParams.set("job", select.value);
      window.location.replace(target);
    });
    byId("attempts").hidden = false;
  }

  function showNotebook(notebook) {
    const failed = notebook.failed;
    const failure = byId("failure");
    failure.hidden = !failed;
    if (failed) {
      failure.querySelector("h2").textContent = `${failed.index === null ? "A cell" : "Cell " + failed.index} failed: ${failed.ename}: ${failed.evalue}`;
      failure.querySelector("pre").textContent = failed.traceback;
      failure.querySelector("details").hidden = !failed.traceback;
      const button = failure.querySelector("button");
      button.hidden = !failed.anchor;
      button.onclick = () => goTo(failed.anchor);
      if (failed.anchor) anchor = failed.anchor;
    }
    const list = byId("outline").querySelector("ol");
    list.replaceChildren(...notebook.outline.map((entry) => {
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
      button.addEventListener("click", () => goTo(entry.anchor));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
    byId("outline").hidden = notebook.outline.length === 0;
    showFrame();
  }

  function showProblem(problem) {
    const box = byId("problem");
    box.dataset.code = problem.code;
    box.querySelector("h2").textContent = problem.title;
    box.querySelector("p").textContent = problem.text;
    const details = box.querySelector("pre");
    details.textContent = problem.details.join("\n");
    details.hidden = problem.details.length === 0;
    box.hidden = false;
  }

  let isPassing = false;
  async function load() {
    let answer;
    try {
      const response = await fetch(`${page.base}/notebook.json${query({})}`, { credentials: "same-origin" });
      answer = await response.json();
    } catch (error) {
      answer = { status: "problem", code: "offline", title: "Airflow's API server does not answer", text: "Reload the page to try again.", details: [], is_passing: true };
    }
    byId("loading").hidden = true;
    byId("problem").hidden = true;
    if (answer.facts) { showFacts(answer.facts); showFiles(); showAttempts(answer.attempts, answer.facts.job_name); }
    isPassing = Boolean(answer.is_passing);
    if (answer.status === "ok") { tag = answer.tag; showNotebook(answer.notebook); }
    else { for (const link of document.querySelectorAll("[data-file^=notebook]")) link.hidden = !answer.has_file; showProblem(answer); }
  }

  async function watch() {
    try {
      const response = await fetch(`${page.base}/state.json`, { credentials: "same-origin" });
      const now = await response.json();
      const isSame = now.state === (page.state || null) && String(now.try_number) === page.try && (now.job_name || "") === page.job && String(now.has_ended) === page.ended;
      if (response.ok && !isSame && !page.asked) { window.location.reload(); return; }
      if (response.ok && isPassing) await load();
    } catch { /* looked at again */ }
    if (page.finished !== "true" || isPassing) setTimeout(watch, REFRESH_MILLISECONDS);
  }

  load().then(() => { if (page.finished !== "true" || isPassing) setTimeout(watch, REFRESH_MILLISECONDS); });
});
