// The jobs to compare the shown one with, asked for when they are wanted.
document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("compare-button"), box = document.getElementById("others");
  const said = box.querySelector("p"), list = box.querySelector("ul");

  function item(each) {
    const link = document.createElement("a");
    Object.assign(link, { href: each.address, textContent: each.label || each.run_id });
    link.dataset.outer = "";  // an address of its own, to be shared
    const line = document.createElement("li");
    line.append(link);
    if (each.label && each.run_id) line.append(` ${each.run_id}`);
    if (each.moment) {
      const moment = document.createElement("time");
      moment.dateTime = moment.textContent = each.moment;
      line.append(" ", moment);
    }
    if (each.words) {
      const chip = document.createElement("span");
      Object.assign(chip, { className: "chip", textContent: each.words });
      chip.dataset.state = each.state;
      line.append(" ", chip);
    }
    return line;
  }

  async function open() {
    said.hidden = false;
    said.textContent = "Looking for other runs of this task …";
    list.replaceChildren();
    try {
      const response = await fetch(tabAddress("others.json"), { credentials: "same-origin" });
      const answer = await response.json();
      if (answer.status !== "ok") { said.textContent = `${answer.title}. ${answer.text}`; return; }
      const [last, rest] = [answer.others.filter((each) => each.label), answer.others.filter((each) => !each.label)];
      list.replaceChildren(...[...last, ...answer.jobs, ...rest].map(item));
      said.textContent = list.children.length ? "Compare with" : "No other run of this task has had a job yet, and it has had no other job itself.";
      showTimes(list);
      const first = list.querySelector("a");
      if (first) first.focus({ preventScroll: true });
    } catch { said.textContent = "Airflow's API server does not answer."; }
  }

  function show(isOpen) {
    box.hidden = !isOpen;
    button.setAttribute("aria-expanded", String(isOpen));
  }
  button.addEventListener("click", () => { show(box.hidden); if (!box.hidden) open(); });
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") { show(false); button.focus(); } });
  document.addEventListener("nbjobs:answer", () => { button.hidden = false; });
});
