// All files of the job, listed when the drawer is opened: for that, its output archive is read.
const FILE_GROUPS = { notebook: "Notebook", log: "Log", output: "Output", archive: "In output.tar.gz", input: "Input, as it was staged", other: "Further" };
const OUTPUT_FOLDERS = ["output/output.tar.gz/", "output/", "input/"];
document.addEventListener("DOMContentLoaded", () => {
  const drawer = document.getElementById("files"), table = drawer.querySelector("table"), count = drawer.querySelector("summary span"), said = drawer.querySelector("p");
  let isListed = false;

  function sizeText(bytes) {
    if (bytes === null) return "";
    if (bytes < 1000) return `${bytes} B`;
    const power = Math.min(Math.floor(Math.log10(bytes) / 3), 5);
    return `${(bytes / 1000 ** power).toFixed(1)} ${["kB", "MB", "GB", "TB", "PB"][power - 1]}`;
  }

  function rowOf(file) {
    const line = document.createElement("tr");
    const [name, size] = ["td", "td"].map((tagName) => line.appendChild(document.createElement(tagName)));
    const link = name.appendChild(document.createElement("a"));
    const folder = OUTPUT_FOLDERS.find((each) => file.name.startsWith(each)) || "";
    Object.assign(link, { textContent: file.name.slice(folder.length), href: tabAddress(file.path, file.query), title: file.name });
    link.setAttribute("download", "");
    name.className = "mono";
    size.className = "number";
    size.textContent = sizeText(file.bytes);
    return line;
  }

  function headingOf(group) {
    const line = document.createElement("tr");
    const heading = line.appendChild(document.createElement("th"));
    heading.colSpan = 2;
    heading.scope = "rowgroup";
    heading.textContent = FILE_GROUPS[group];
    return line;
  }

  async function list() {
    said.textContent = "The files are being listed …";
    let answer;
    try {
      const response = await fetch(tabAddress("files.json"), { credentials: "same-origin" });
      answer = await response.json();
    } catch { said.textContent = "Airflow's API server does not answer."; return; }
    isListed = answer.status === "ok";
    if (!isListed) { said.textContent = `${answer.title}. ${answer.text} ${answer.details.join(" ")}`; return; }
    count.textContent = `(${answer.files.length})`;
    said.textContent = answer.notes.join("\n");
    const groups = Object.keys(FILE_GROUPS).map((group) => answer.files.filter((file) => file.group === group)).filter((files) => files.length);
    table.replaceChildren(...groups.flatMap((files) => [headingOf(files[0].group), ...files.map(rowOf)]));
  }

  drawer.addEventListener("toggle", () => { if (drawer.open && !isListed) list(); });
  let state = "";
  document.addEventListener("nbjobs:answer", ({ detail: answer }) => {
    if (!answer.facts) return;
    drawer.hidden = false;
    // What a job that goes on has left is another in a while.
    if (answer.live || state !== answer.facts.status) isListed = false;
    state = answer.facts.status;
    if (drawer.open && !isListed && !answer.live) list();
  });
});
