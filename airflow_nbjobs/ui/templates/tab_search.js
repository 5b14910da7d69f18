// Search within the notebook. No script runs in its frame, so that its cells' texts come here; a place that is found is gone to by its cell.
const MOST_HITS_SHOWN = 200, AROUND = 40;
document.addEventListener("DOMContentLoaded", () => {
  const box = document.getElementById("find"), input = box.querySelector("input"), said = box.querySelector("[role=status]"), list = document.getElementById("hits");
  const [previous, next] = box.querySelectorAll("button");
  let texts = null, of = "", shown = null, hits = [], cells = [], at = -1, count = 0, reading = null;

  async function read() {
    const { tag } = shown.notebook;
    if (texts && of === tag) return true;
    if (!reading || reading.tag !== tag) reading = { tag, answer: fetch(tabAddress("texts.json", { v: tag }), { credentials: "same-origin" }).then((response) => response.json()) };
    const own = reading;
    let answer = null;
    try { answer = await own.answer; } catch { /* said below */ }
    if (reading === own) reading = null;
    if (tag !== shown.notebook.tag) return false;  // it has filled in meanwhile, and is searched anew
    if (!answer) { said.textContent = "Airflow's API server does not answer."; return false; }
    if (answer.status !== "ok") { said.textContent = `${answer.title}. ${answer.text}`; return false; }
    texts = answer;
    of = tag;
    for (const part of texts.parts) part.lower = part.text.toLowerCase();
    return true;
  }

  function hitsIn(part, wanted) {
    let found = 0, first = -1;
    for (let place = part.lower.indexOf(wanted); place >= 0; place = part.lower.indexOf(wanted, place + wanted.length)) {
      if (!found) first = place;
      found += 1;
    }
    return { part, found, first };
  }

  function rowOf({ part, found, first }, length) {
    const button = document.createElement("button");
    button.type = "button";
    const [name, where, excerpt, mark] = ["b", "small", "span", "mark"].map((tagName) => document.createElement(tagName));
    name.textContent = part.name;
    where.textContent = found > 1 ? `${part.kind}, ${found} times` : part.kind;
    // Of few scripts a letter's small form has another length: then the small text is shown.
    const text = part.lower.length === part.text.length ? part.text : part.lower;
    const begin = Math.max(first - AROUND, 0), end = first + length;
    mark.textContent = text.slice(first, end);
    excerpt.append(begin ? "…" : "", text.slice(begin, first), mark, text.slice(end, end + AROUND), end + AROUND < text.length ? "…" : "");
    button.append(name, " ", where, excerpt);
    button.addEventListener("click", () => go(cells.indexOf(part.anchor)));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  function say() {
    const whole = texts && !texts.is_whole ? " (not all of this large notebook is searched)" : "";
    const total = `${count} ${count === 1 ? "match" : "matches"}`;
    const places = `${cells.length} ${cells.length === 1 ? "cell" : "cells"}`;
    const cut = hits.length > MOST_HITS_SHOWN ? `; the first ${MOST_HITS_SHOWN} places are listed` : "";
    said.textContent = input.value.trim() ? (count ? (at < 0 ? `${total} in ${places}` : `${total}, cell ${at + 1} of ${cells.length}`) + cut : "nothing found") + whole : "";
    previous.disabled = next.disabled = cells.length === 0;
  }

  async function search() {
    const wanted = input.value.trim().toLowerCase();
    if (!shown) return;
    if (wanted && !await read()) return;
    if (wanted !== input.value.trim().toLowerCase()) return;  // typed on meanwhile
    hits = wanted ? texts.parts.filter((part) => part.in_report || !shown.isReport).map((part) => hitsIn(part, wanted)).filter((hit) => hit.found) : [];
    cells = [...new Set(hits.map((hit) => hit.part.anchor))];
    count = hits.reduce((sum, hit) => sum + hit.found, 0);
    at = -1;
    list.replaceChildren(...hits.slice(0, MOST_HITS_SHOWN).map((hit) => rowOf(hit, wanted.length)));
    list.hidden = hits.length === 0;
    say();
  }

  function go(place) {
    if (!cells.length) return;
    at = (place + cells.length) % cells.length;
    for (const [row, hit] of hits.slice(0, MOST_HITS_SHOWN).entries()) {
      const isHere = hit.part.anchor === cells[at];
      list.children[row].toggleAttribute("data-here", isHere);
      if (isHere) list.children[row].scrollIntoView({ block: "nearest" });
    }
    say();
    document.dispatchEvent(new CustomEvent("nbjobs:go", { detail: { anchor: cells[at], keepsFocus: true } }));
  }

  input.addEventListener("input", search);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); go(event.shiftKey ? Math.max(at, 0) - 1 : at + 1); }
    if (event.key === "Escape") { input.value = ""; search(); }
  });
  previous.addEventListener("click", () => go(Math.max(at, 0) - 1));
  next.addEventListener("click", () => go(at + 1));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey || box.offsetParent === null) return;
    event.preventDefault();
    input.focus();
  });
  document.addEventListener("nbjobs:shown", ({ detail }) => {
    const isSame = shown && shown.notebook.tag === detail.notebook.tag && shown.isReport === detail.isReport;
    shown = detail;
    if (!isSame) search();
  });
});
