const LIVE_MILLISECONDS = 15000;
const FOLDED_CHARACTERS = 200;
document.addEventListener("DOMContentLoaded", () => {
  const page = document.body.dataset;
  const byId = (id) => document.getElementById(id);
  const stage = byId("notebook"), onlyDifferences = byId("differences");
  let frame = null, shown = "", tag = "", first = "";

  function address(file) {
    const query = new URLSearchParams(window.location.search);
    const asked = new URLSearchParams({ left: query.get("left"), right: query.get("right") });
    return { place: `${page.base}${file}`, asked };
  }

  // The address that the reader sees names both jobs: it can be shared, and means the same after the next try.
  if (page.here) {
    const named = new URL(page.here, window.location.href);
    if (onlyDifferences.checked) named.searchParams.set("differences", "true");
    window.history.replaceState(window.history.state, "", named);
  }

  // -- the cells, in a frame whose page has no origin and no script -----------------------------------------------------

  function showFrame() {
    if (!tag) return;
    const { place, asked } = address(".html");
    asked.set("theme", document.documentElement.dataset.theme);
    if (onlyDifferences.checked) asked.set("differences", "true");
    asked.set("v", tag);
    const next = `${place}?${asked}`;
    if (shown === next) return;
    shown = next;
    const coming = document.createElement("iframe");
    coming.setAttribute("sandbox", "");
    coming.title = "Both notebooks, cell by cell";
    coming.src = first ? `${next}#${first}` : next;
    const old = frame;
    frame = coming;
    stage.append(coming);
    if (old) coming.classList.add("coming");
    coming.addEventListener("load", () => {
      removeFramesBefore(coming);
      // For link.html, which a link leads to and which has one script, ours: see tab.js.
      coming.setAttribute("sandbox", "allow-scripts");
      coming.classList.remove("coming");
    }, { once: true });
  }
  themeListeners.push(showFrame);

  window.addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || !event.data || typeof event.data.nbjobsLink !== "string") return;
    window.history.back();  // the frame, to where its reader was
    const own = /^nbjobs:(left|right):(cell-\d{1,9}|nb-added-\d{1,9})$/.exec(event.data.nbjobsLink);
    if (!own) { askBeforeLeaving(event.data.nbjobsLink); return; }
    const tab = new URL(page[own[1]], window.location.href);
    tab.searchParams.set("cell", own[2]);
    openApart(tab.href);
  });

  // -- what the jobs are, were given and recorded -------------------------------------------------------------------------

  function value(side, row) {
    const cell = document.createElement("td");
    const text = side === null || side === undefined ? "–" : typeof side === "string" ? side : side.text;
    cell.className = typeof side === "object" && side !== null ? "mono" : "";
    if (row.name === "started" && text !== "–") {
      const moment = cell.appendChild(document.createElement("time"));
      moment.dateTime = moment.textContent = text;
    } else if (text.length <= FOLDED_CHARACTERS) cell.textContent = text;
    else {
      const whole = cell.appendChild(document.createElement("details"));
      whole.append(document.createElement("summary"), text);
      whole.firstChild.textContent = `${text.slice(0, FOLDED_CHARACTERS / 2)}…`;
    }
    return cell;
  }

  function line(row) {
    const made = document.createElement("tr");
    made.dataset.differs = String(row.differs || Boolean(row.is_own || row.is_unknown));
    if (row.differs) made.classList.add("differs");
    const name = made.appendChild(document.createElement("th"));
    name.scope = "row";
    name.className = row.label ? "" : "mono";
    name.textContent = row.label || row.name;
    const difference = document.createElement("td");
    difference.className = "difference";
    difference.textContent = row.difference || (row.differs ? "differs" : "");
    made.append(value(row.left, row), value(row.right, row), difference);
    return made;
  }

  function showRows(id, rows) {
    const box = byId(id), body = box.querySelector("tbody"), count = rows.filter((row) => row.differs).length;
    box.hidden = !rows.length;
    const unknown = rows.filter((row) => row.is_unknown && !row.is_own).length;
    box.dataset.equal = String(count + unknown === 0 && !rows.some((row) => row.is_own));
    const differ = count ? `${count} of ${rows.length} differ` : unknown ? "no difference is known" : "the same";
    box.querySelector("h2 span").textContent = `(${differ}${unknown ? `, ${unknown} not known of both` : ""})`;
    body.replaceChildren(...rows.map(line));
    showTimes(body);
  }

  function message(box, problem) {
    box.dataset.code = problem.code;
    box.querySelector("h2").textContent = problem.title;
    box.querySelector("p").textContent = problem.text;
    const details = box.querySelector("pre");
    details.textContent = problem.details.join("\n");
    details.hidden = problem.details.length === 0;
    box.hidden = false;
  }

  function showMissing(missing, unknown) {
    const said = missing.map((problem) => [problem.code, `No notebook on the ${problem.side}: ${problem.title}. ${problem.text} ${problem.details.join(" ")}`]);
    said.push(...unknown.map(({ side, what }) => ["unknown", `The ${what} of the job on the ${side} are not known: they are not compared.`]));
    byId("missing").replaceChildren(...said.map(([code, text]) => {
      const note = document.createElement("p");
      note.className = "note";
      note.dataset.code = code;
      note.textContent = text;
      return note;
    }));
  }

  function switched() {
    page.differences = String(onlyDifferences.checked);
    for (const [link, query] of [[byId("swap"), null], [window.location, "here"]]) {
      const next = new URL(link.href);
      if (onlyDifferences.checked) next.searchParams.set("differences", "true");
      else next.searchParams.delete("differences");
      if (query) window.history.replaceState(window.history.state, "", next);
      else link.href = next.href;
    }
    showFrame();
  }
  onlyDifferences.addEventListener("change", switched);

  async function load() {
    let answer;
    try {
      const { place, asked } = address(".json");
      const response = await fetch(`${place}?${asked}`, { credentials: "same-origin" });
      answer = await response.json();
    } catch (error) {
      answer = { status: "problem", code: "offline", title: "Airflow's API server does not answer", text: "Reload the page to try again.", details: [], is_passing: true };
    }
    byId("loading").hidden = true;
    byId("problem").hidden = true;
    if (answer.status === "ok") {
      byId("verdict").textContent = answer.verdict;
      for (const id of ["parameters", "outputs", "facts"]) showRows(id, answer[id]);
      byId("list-price").hidden = !answer.has_cost;
      showMissing(answer.missing, answer.unknown);
      if (answer.tag) { tag = answer.tag; first = answer.first || ""; showFrame(); }
      else if (answer.problem) message(byId("problem"), answer.problem);
      else message(byId("problem"), { code: "nothing", title: "There are not two notebooks to compare", text: "What there is of the jobs is compared beside this.", details: [] });
    } else { byId("verdict").textContent = ""; message(byId("problem"), answer); }
    if (answer.is_passing) setTimeout(load, LIVE_MILLISECONDS);
  }
  load();
});
