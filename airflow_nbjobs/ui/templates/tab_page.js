// What every part of the tab asks for: a file of the job that is shown. tab.js tells the others of each answer (the event "nbjobs:answer").
function tabAddress(file, more = {}) {
  const page = document.body.dataset;
  const query = new URLSearchParams({ ...(page.requested ? { job: page.requested } : {}), ...more });
  return `${page.base}/${file}?${query}`;
}
