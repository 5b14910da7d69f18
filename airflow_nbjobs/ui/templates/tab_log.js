// The log of the job's container, read when it is opened and again while the job runs.
const LOG_MILLISECONDS = 15000;
document.addEventListener("DOMContentLoaded", () => {
  const log = document.getElementById("log"), logButton = document.getElementById("log-button"), logConsole = document.getElementById("log-console"), search = log.querySelector("input"), logText = log.querySelector("pre");
  let lines = [], logRead = 0;

  function showLog() {
    const wanted = search.value.toLowerCase();
    const found = wanted ? lines.filter((line) => line.toLowerCase().includes(wanted)) : lines;
    const isAtEnd = logText.scrollHeight - logText.scrollTop - logText.clientHeight < 40;
    logText.textContent = found.join("\n");
    if (isAtEnd) logText.scrollTop = logText.scrollHeight;
    if (lines.length) log.querySelector("[role=status]").textContent = wanted ? `${found.length} of ${lines.length} lines` : `${lines.length} lines`;
  }

  async function readLog() {
    logRead = Date.now();
    const said = log.querySelector("[role=status]");
    try {
      const response = await fetch(tabAddress("log.json"), { credentials: "same-origin" });
      const answer = await response.json();
      if (answer.status !== "ok") { said.textContent = `${answer.title}. ${answer.text} ${answer.details.join(" ")}`; return; }
      lines = answer.is_whole ? answer.lines : ["… what is older is in CloudWatch", ...answer.lines];
      logConsole.href = answer.links.CloudWatch || "";
      logConsole.hidden = !answer.links.CloudWatch;
      if (!lines.length) said.textContent = "CloudWatch has no log of this job (yet).";
      showLog();
    } catch { said.textContent = "Airflow's API server does not answer."; }
  }

  logButton.addEventListener("click", () => {
    log.hidden = !log.hidden;
    logButton.setAttribute("aria-expanded", String(!log.hidden));
    if (!log.hidden) readLog().then(() => { logText.scrollTop = logText.scrollHeight; search.focus(); });
  });
  search.addEventListener("input", showLog);
  document.addEventListener("nbjobs:answer", ({ detail: answer }) => {
    if (answer.facts) logButton.hidden = false;
    if (!log.hidden && Date.now() - logRead >= LOG_MILLISECONDS) readLog();
  });
});
