const REFRESH_MILLISECONDS = 5000;
document.addEventListener("DOMContentLoaded", () => {
  const page = document.body.dataset;
  const byId = (id) => document.getElementById(id);
  const stage = byId("notebook");
  let frame = null, shown = "", anchor = cellIn(), tag = "", withScripts = false, isEarlier = false, said = null;
  let isReport = isReportIn(), current = null, hasPlace = Boolean(anchor);

  // -- which job: the choice is in the address that the reader sees, Airflow's where it frames this page -----------------

  const chosen = () => placeIn("job", /^[A-Za-z0-9-]{0,63}$/);
  const addressOf = (place, job) => {
    const address = new URL(place.location.href);
    if (job) address.searchParams.set("job", job);
    else address.searchParams.delete("job");
    address.searchParams.delete("cell");
    return address;
  };
  function choose(job) {
    if (!outer) { window.location.assign(addressOf(window, job)); return; }
    // Airflow's router counts its entries in their state.
    const state = outer.history.state;
    outer.history.pushState(state && Number.isInteger(state.idx) ? { ...state, idx: state.idx + 1 } : state, "", addressOf(outer, job));
    window.location.replace(addressOf(window, job));
  }
  if (outer) {
    const path = outer.location.pathname;
    const follow = () => {
      const isOther = outer.location.pathname === path && chosen() !== page.requested;
      if (isOther) window.location.replace(addressOf(window, chosen()));
      return isOther;
    };
    outer.addEventListener("popstate", follow);
    window.addEventListener("pagehide", () => outer.removeEventListener("popstate", follow));
    if (follow()) return;
  }

  function showFrame() {
    const theme = document.documentElement.dataset.theme;
    const name = withScripts ? "scripted" : isReport ? "report" : "notebook";
    const address = `${tabAddress(`${name}.html`, { theme, v: tag })}`;
    const next = `${address}${anchor ? "#" + anchor : ""}`;
    // Replaced, not added to the browser's history: "back" leads to another job or page, not from cell to cell.
    if (frame && shown === address) { frame.contentWindow.location.replace(new URL(next, window.location.href)); return; }
    shown = address;
    // What a notebook wrote has an origin of its own and, unless the reader has asked for it, runs nothing, whatever the answer's own policy says.
    const coming = document.createElement("iframe");
    coming.setAttribute("sandbox", withScripts ? "allow-scripts" : "");
    coming.title = "Executed notebook";
    coming.src = next;
    const old = frame;
    frame = coming;
    stage.append(coming);
    // The old one stays in view until the new one is there: a notebook that fills in does not flash.
    if (old) coming.classList.add("coming");
    coming.addEventListener("load", () => {
      removeFramesBefore(coming);
      // For the page that a link of the notebook leads to (link.html), which has one script, ours. The notebook itself has none: this counts from the
      // next page on, and its answer's own policy says the same whenever it comes back.
      coming.setAttribute("sandbox", "allow-scripts");
      coming.classList.remove("coming");
      // Chromium can leave a frame in a frame at its top or its end, whatever its address points to; told again once it is laid out, it goes there.
      const goThere = () => { if (anchor && frame === coming) coming.contentWindow.location.replace(new URL(`${address}#${anchor}`, window.location.href)); };
      requestAnimationFrame(() => requestAnimationFrame(goThere));
    }, { once: true });
  }
  themeListeners.push(() => { if (frame) showFrame(); });

  // Other parts of the tab ask for a place, or for the report, by an event.
  document.addEventListener("nbjobs:go", ({ detail }) => { if (frame) goTo(anchorOf(detail), Boolean(detail.keepsFocus)); });
  function goTo(place, keepsFocus) {
    anchor = place;
    isFollowing = false;
    hasPlace = true;
    if (isReport && !current.in_report.includes(place)) setView(false);  // what the report leaves out is in the notebook
    else showFrame();
    rememberPlace({ cell: place });
    if (!keepsFocus) frame.focus();
  }
  document.addEventListener("nbjobs:view", ({ detail }) => { if (frame) setView(detail === "report"); });
  function setView(asReport) {
    isReport = asReport;
    withScripts = false;
    rememberPlace({ view: asReport ? "report" : "" });
    tellShown();
    showFrame();
  }
  function tellShown() {
    showFiles();
    offerScripts(isReport ? 0 : current.scripted);
    document.dispatchEvent(new CustomEvent("nbjobs:shown", { detail: { notebook: current, isReport } }));
  }

  // -- links out of the notebook, after a question -----------------------------------------------------------------------

  window.addEventListener("message", (event) => {
    if (!frame || withScripts || event.source !== frame.contentWindow || !event.data || typeof event.data.nbjobsLink !== "string") return;
    window.history.back();  // the frame, to where its reader was
    askBeforeLeaving(event.data.nbjobsLink);
  });

  // -- while it runs ---------------------------------------------------------------------------------------------------

  const live = byId("live");
  let isFollowing = true, running = null, waiting = null;

  // In the frame no script runs, so where it is scrolled to is not known: while somebody points at it or is in it, it is left as it is.
  // A pointer that jumps into the frame is known to the frame only; the veil in front of it notices, and is gone.
  const veil = byId("veil");
  let isPointedAt = false;
  const isBeingRead = () => frame !== null && (isPointedAt || document.activeElement === frame);

  function span(seconds) {
    const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
    if (days) return `${days} d ${hours} h`;
    if (hours) return `${hours} h ${minutes} min`;
    return minutes ? `${minutes} min ${Math.floor(seconds) % 60} s` : `${Math.floor(seconds)} s`;
  }

  function tick() {
    if (!running || !running.started) return;
    const seconds = Math.max(0, (Date.now() - Date.parse(running.started)) / 1000);
    const left = running.limit_seconds ? Math.max(0, running.limit_seconds - seconds) : null;
    live.querySelector("p span").textContent = `${span(seconds)} so far${left === null ? "" : `, at most ${span(left)} left`}`;
  }
  setInterval(tick, 1000);

  function showProgress(facts, notebook) {
    running = facts;
    live.hidden = !facts;
    veil.hidden = !facts || isPointedAt;
    if (!facts) return;
    const progress = notebook ? notebook.progress : null;
    const text = progress ? progress.text : facts.status;
    const status = live.querySelector("strong");
    if (status.textContent !== text) status.textContent = text;  // what has not changed is not read out again
    live.querySelector("progress").value = progress && progress.total ? progress.done / progress.total : 0;
    tick();
  }

  function offer(notebook) {
    waiting = notebook;
    const button = live.querySelector("button");
    button.hidden = !notebook;
    button.textContent = "Show what has run since";
    button.onclick = () => { isFollowing = true; showNotebook(waiting); };
  }

  function offerEnd() {
    const button = live.querySelector("button");
    button.hidden = false;
    button.textContent = "The job has ended: show the executed notebook";
    button.onclick = () => window.location.reload();
  }

  veil.addEventListener("pointerenter", () => { isPointedAt = true; veil.hidden = true; });
  stage.addEventListener("pointerleave", () => {
    isPointedAt = false;
    veil.hidden = !running;
    if (waiting && isFollowing) showNotebook(waiting);
  });

  function fillIn(notebook) {
    if (frame && isBeingRead()) offer(notebook);
    else showNotebook(notebook);
  }

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
    // Of an earlier job the task's state says nothing; of one that runs SageMaker's says more: starting, stopping.
    if (facts.words && (isEarlier || (page.finished !== "true" && facts.state === "running"))) { byId("state").dataset.state = facts.state; byId("state").textContent = facts.words; }
  }

  function showFiles() {
    for (const link of document.querySelectorAll("[data-file]")) {
      const name = isReport && link.dataset.file === "notebook.html" ? "report.html" : link.dataset.file;
      link.href = tabAddress(name, name.endsWith(".html") ? { download: "true" } : {});
      link.hidden = false;
    }
  }

  function showLinks(links) {
    byId("consoles").hidden = Object.keys(links || {}).length === 0;
    byId("consoles").replaceChildren("Open in ", ...Object.entries(links || {}).flatMap(([label, address], place) => {
      const link = document.createElement("a");
      Object.assign(link, { href: address, textContent: label, target: "_blank", rel: "noopener noreferrer" });
      link.dataset.outer = "";
      return place ? [" · ", link] : [link];
    }));
  }

  function showAttempts(attempts, current) {
    const select = byId("attempts").querySelector("select");
    if (!attempts || attempts.length < 2 || attempts.length === select.options.length) return;
    select.replaceChildren(...attempts.map((each) => new Option(each.label, each.job_name, false, each.job_name === current)));
    select.onchange = () => choose(select.value);
    byId("attempts").hidden = false;
  }

  // -- scripts of outputs, on a click ----------------------------------------------------------------------------------

  let isKeptOffNetwork = null;
  // Only a browser that keeps a page which may connect to nothing off the network is given scripts of strangers.
  function askBrowser() {
    if (!window.isSecureContext) return false;  // browsers tell a server what an answer is for (Sec-Fetch-Dest) only there
    if (isKeptOffNetwork) return isKeptOffNetwork;
    isKeptOffNetwork = new Promise((done) => {
      const probe = document.createElement("iframe");
      probe.hidden = true;
      window.addEventListener("message", (event) => {
        if (event.source !== probe.contentWindow || event.origin !== window.location.origin) return;
        probe.remove();
        if (event.data.nbjobsIsOpen !== false) { done(false); return; }
        // A server that did not answer just then would look the same.
        fetch(`${page.base}/state.json`, { credentials: "same-origin" }).then((response) => done(response.ok), () => done(false));
      });
      probe.src = `${page.base}/probe.html`;
      document.body.append(probe);
    });
    return isKeptOffNetwork;
  }

  async function offerScripts(count) {
    const box = byId("scripts");
    box.hidden = true;
    if (!count || withScripts) return;
    const asked = tag;
    const isOffered = await askBrowser();
    if (withScripts || asked !== tag) return;  // the notebook has changed meanwhile
    const what = count === 1 ? "One output has scripts. They do not run" : `${count} outputs have scripts. They do not run`;
    box.querySelector("p").textContent = isOffered
      ? `${what} unless you ask for it, and then they reach neither Airflow nor any network.`
      : `${what}: it takes HTTPS, and a browser that can keep them off the network (Connection-Allowlist).`;
    const button = box.querySelector("button");
    button.hidden = !isOffered;
    box.hidden = false;
    button.onclick = () => { withScripts = true; box.hidden = true; showFrame(); };
  }

  function showNotebook(notebook) {
    offer(null);
    if (tag !== notebook.tag) withScripts = false;  // asked for those of another notebook
    tag = notebook.tag;
    // A link that was shared may lead to what the report leaves out.
    if (!current && isReport && anchor && !notebook.in_report.includes(anchor)) { isReport = false; rememberPlace({ view: "" }); }
    current = notebook;
    if (running && isFollowing && !hasPlace) anchor = notebook.progress.anchor || "";
    const place = notebook.failed || notebook.stopped;
    if (place && place.anchor && !hasPlace) anchor = place.anchor;
    showFailure(notebook.failed, place);
    tellShown();
    showFrame();
  }

  function fill(element, text) {
    element.hidden = !text;
    (element.querySelector("pre") || element).textContent = text;
  }

  // What the task said; of a cell that failed, the notebook itself says it best.
  function showFailure(failed, place) {
    const box = byId("failure");
    box.hidden = !said && !failed;
    if (box.hidden) return;
    const isOfCell = failed && (!said || said.is_of_cell);
    box.toggleAttribute("data-skip", Boolean(said && said.is_skip));
    box.querySelector("h2").textContent = isOfCell ? `${failed.index === null ? "A cell" : "Cell " + failed.index} failed: ${failed.ename}: ${failed.evalue}` : said.title;
    const list = box.querySelector("ul");
    list.replaceChildren(...(said ? said.problems : []).map((text) => { const item = document.createElement("li"); item.textContent = text; return item; }));
    list.hidden = !list.children.length;
    fill(box.querySelector("p"), said && said.advice ? `Next: ${said.advice}` : "");
    fill(byId("traceback"), failed ? failed.traceback : "");
    fill(byId("said"), said ? said.text : "");
    const button = box.querySelector("button");
    button.hidden = !place || !place.anchor;
    button.textContent = failed ? "Go to the cell" : "Go to the last cell that ran";
    button.onclick = () => goTo(place.anchor);
  }

  function showValues(drawer, rows) {
    drawer.hidden = !rows.length;
    drawer.querySelector("summary span").textContent = `(${rows.length})`;
    drawer.querySelector("table").replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      const [name, type, value] = ["th", "td", "td"].map((tagName) => line.appendChild(document.createElement(tagName)));
      name.scope = "row";
      name.className = value.className = "mono";
      name.textContent = row.name;
      type.textContent = row.type;
      if (row.text.length <= 400) { value.textContent = row.text; return line; }
      const whole = value.appendChild(document.createElement("details"));
      whole.append(document.createElement("summary"), row.text);
      whole.firstChild.textContent = `${row.text.slice(0, 200)}…`;
      return line;
    }));
  }

  function showKnown(known) {
    if (known.failure !== undefined) { said = known.failure; showFailure(null, null); }
    if (known.parameters) showValues(byId("parameters"), known.parameters);
    if (known.outputs) showValues(byId("outputs"), known.outputs);
    isEarlier = Boolean(known.earlier);
    fill(byId("earlier"), known.earlier || "");
  }
  showKnown(JSON.parse(byId("known").textContent));

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
      const response = await fetch(tabAddress("notebook.json"), { credentials: "same-origin" });
      answer = await response.json();
    } catch (error) {
      answer = { status: "problem", code: "offline", title: "Airflow's API server does not answer", text: "Reload the page to try again.", details: [], is_passing: true };
    }
    byId("loading").hidden = true;
    byId("problem").hidden = true;
    if (answer.facts) { showKnown(answer); showFacts(answer.facts); showFiles(); showLinks(answer.links); }
    document.dispatchEvent(new CustomEvent("nbjobs:answer", { detail: answer }));
    showAttempts(answer.attempts, answer.facts ? answer.facts.job_name : page.requested);
    isPassing = Boolean(answer.is_passing);
    showProgress(answer.live, answer.status === "ok" ? answer.notebook : null);
    if (answer.live) isPassing = true;
    if (answer.status === "ok") {
      answer.notebook.tag = answer.tag;
      if (answer.tag !== (waiting || { tag }).tag) fillIn(answer.notebook);
    } else if (!(answer.is_passing && frame)) { for (const link of document.querySelectorAll("[data-file^=notebook]")) link.hidden = !answer.has_file; showProblem(answer); }
  }

  async function watch() {
    try {
      const response = await fetch(`${page.base}/state.json`, { credentials: "same-origin" });
      const now = await response.json();
      const isSame = now.state === (page.state || null) && String(now.try_number) === page.try && (now.job_name || "") === page.job && String(now.has_ended) === page.ended;
      const isOver = response.ok && !isSame && !isEarlier;
      if (isOver && !(running && isBeingRead())) { window.location.reload(); return; }
      if (isOver) offerEnd();
      else if (response.ok && isPassing) {
        await load();
      }
    } catch { /* looked at again */ }
    if (page.finished !== "true" || isPassing) setTimeout(watch, REFRESH_MILLISECONDS);
  }

  load().then(() => { if (page.finished !== "true" || isPassing) setTimeout(watch, REFRESH_MILLISECONDS); });
});
