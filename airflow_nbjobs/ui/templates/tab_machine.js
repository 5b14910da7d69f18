// What the job used of its machine, asked for when it is opened: curves over the job's time, the cells below them, and what several runs say.
const MACHINE_MILLISECONDS = 30000;
document.addEventListener("DOMContentLoaded", () => {
  const drawer = document.getElementById("machine"), said = drawer.querySelector("[role=status]"), figure = drawer.querySelector("figure"), list = drawer.querySelector("ul");
  const PLOT = 160, LEFT = 44, LANE = 18, MOST_STOPS = 40;
  let machineRead = 0, isAsking = false, shown = null, drawnWidth = 0;

  function drawn(name, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function moment(seconds) {
    if (seconds < 120) return `${Math.round(seconds * 10) / 10} s`;
    return seconds < 7200 ? `${Math.round(seconds / 6) / 10} min` : `${Math.round(seconds / 360) / 10} h`;
  }

  function chart(answer) {
    const WIDTH = drawnWidth = Math.max(320, drawer.clientWidth - 26);
    const x = (seconds) => LEFT + (WIDTH - LEFT - 8) * Math.min(1, seconds / answer.seconds);
    const y = (percent) => 8 + (PLOT - 8) * (1 - percent / 100);
    const height = PLOT + 24 + (answer.spans.length ? LANE + 12 : 0);
    const description = [answer.title, ...answer.curves.map((curve) => curve.text)].join(". ");
    const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "group", "aria-label": description });
    for (const percent of [0, 50, 100]) {
      svg.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(percent), y2: y(percent) }), drawn("text", { x: LEFT - 6, y: y(percent) + 4, "text-anchor": "end" }, `${percent} %`));
    }
    for (const share of [0, 0.25, 0.5, 0.75, 1]) svg.append(drawn("text", { x: x(share * answer.seconds), y: PLOT + 18, "text-anchor": share === 1 ? "end" : share ? "middle" : "start" }, moment(share * answer.seconds)));
    for (const curve of answer.curves) {
      const points = curve.points.map(([seconds, percent]) => `${x(seconds).toFixed(1)},${y(percent).toFixed(1)}`);
      const [first] = curve.points;
      const shape = points.length > 1 ? drawn("polyline", { points: points.join(" ") }) : drawn("circle", { cx: x(first[0]), cy: y(first[1]), r: 4 });
      shape.setAttribute("class", `curve ${curve.key}`);
      shape.append(drawn("title", {}, curve.text));
      svg.append(shape);
    }
    for (const span of answer.spans) {
      const bar = drawn("rect", { class: span.is_failed ? "span failed" : "span", x: x(span.start), y: PLOT + 28, width: Math.max(1.5, x(span.end) - x(span.start) - 1), height: LANE, rx: 2, role: "button", "aria-label": span.text }, drawn("title", {}, span.text));
      if (answer.spans.length <= MOST_STOPS) bar.setAttribute("tabindex", 0);  // of more, the outline is the quicker way
      const go = () => document.dispatchEvent(new CustomEvent("nbjobs:go", { detail: span.anchor }));
      bar.addEventListener("click", go);
      bar.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); } });
      svg.append(bar);
    }
    return svg;
  }

  function legend(answer) {
    const rows = document.createElement("figcaption");
    rows.append(...answer.curves.map((curve) => {
      const row = document.createElement("span"), mark = drawn("svg", { viewBox: "0 0 14 6", "aria-hidden": "true" }, drawn("line", { class: `curve ${curve.key}`, x1: 0, x2: 14, y1: 3, y2: 3 }));
      row.append(mark, curve.text);
      return row;
    }));
    return rows;
  }

  function show(answer) {
    said.textContent = answer.status === "ok" ? [answer.title, ...answer.notes].join(". ").replace(/\.\. /g, ". ") : [answer.title + ".", answer.text, ...answer.details].join(" ");
    const hasCurves = answer.status === "ok" && answer.curves.length > 0;
    figure.hidden = !hasCurves;
    shown = hasCurves ? answer : null;
    figure.replaceChildren(...(hasCurves ? [chart(answer), legend(answer)] : []));
    const advice = answer.advice || [];
    list.hidden = advice.length === 0;
    list.replaceChildren(...advice.map((each) => {
      const item = document.createElement("li");
      item.dataset.kind = each.kind;
      item.textContent = each.text;
      return item;
    }));
  }

  async function readMachine() {
    if (isAsking) return;
    isAsking = true;
    machineRead = Date.now();
    if (!said.textContent) said.textContent = "CloudWatch is being asked …";
    try {
      const response = await fetch(tabAddress("machine.json"), { credentials: "same-origin" });
      show(await response.json());
    } catch { said.textContent = "Airflow's API server does not answer."; }
    isAsking = false;
  }

  new ResizeObserver(() => { if (shown && Math.abs(drawer.clientWidth - 26 - drawnWidth) > 4) figure.replaceChildren(chart(shown), legend(shown)); }).observe(drawer);
  drawer.addEventListener("toggle", () => { if (drawer.open) readMachine(); });
  document.addEventListener("nbjobs:answer", ({ detail: answer }) => {
    if (answer.facts) drawer.hidden = false;
    if (drawer.open && Date.now() - machineRead >= MACHINE_MILLISECONDS) readMachine();
  });
});
