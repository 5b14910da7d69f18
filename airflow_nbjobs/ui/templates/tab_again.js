// A new run with other parameters, in Airflow's own trigger form: it is opened, and nothing is run.
const FORM_MILLISECONDS = 5000;
document.addEventListener("DOMContentLoaded", async () => {
  const drawer = document.getElementById("again");
  let answer;
  try {
    const response = await fetch(`${document.body.dataset.base}/again.json`, { credentials: "same-origin" });
    answer = await response.json();
  } catch { return; }
  if (answer.status !== "ok" || !answer.is_offered) return;
  const [conf, note] = [drawer.querySelector("pre"), drawer.querySelector("p")], [open, copy] = drawer.querySelectorAll("button"), link = drawer.querySelector("a");
  drawer.hidden = false;
  conf.textContent = answer.conf;
  conf.hidden = copy.hidden = !answer.conf;
  link.href = answer.run;
  copyButton(copy, () => answer.conf);

  // Airflow has no address that opens the form. On the pages of a run its own button does, filled in with the run's conf: Airflow's page around this one
  // is such a page. Of the button's menu only the entry is chosen that is known to open the form.
  const canFill = Boolean(outer && answer.form);
  open.hidden = !canFill;
  const texts = [canFill ? "Airflow opens its form with what this run was given." : "This Airflow cannot open its form filled in from here: open the run, press Trigger, and paste this as its configuration."];
  if (answer.is_masked) texts.push("*** stands for what Airflow masks: give it by hand.");
  if (answer.is_too_long) texts.push("What the run was given is too long to be shown here; its page in Airflow has it.");
  else if (!answer.conf) texts.push("This run was given nothing: it ran with the defaults of the form.");
  note.textContent = texts.join(" ");

  function there(selector) {
    return new Promise((done) => {
      const until = Date.now() + FORM_MILLISECONDS;
      const look = () => {
        const found = outer.document.querySelector(selector);
        if (found || Date.now() > until) done(found);
        else setTimeout(look, 50);
      };
      look();
    });
  }
  // Where the run was given nothing, and as long as Airflow has not loaded the run, its button opens the form itself, which is not filled in then.
  async function openForm() {
    const button = outer.document.querySelector("[data-testid=trigger-dag-options-button]") || outer.document.querySelector("[data-testid=trigger-dag-button]");
    if (!button || button.disabled) return "none";
    button.focus();
    button.click();
    const found = await there(`[role=menuitem][data-value=${answer.form}], [role=dialog] [data-testid=trigger-dag-submit]`);
    if (!found) return "none";
    if (found.getAttribute("role") !== "menuitem") return "empty";
    found.click();
    return "filled";
  }
  open.addEventListener("click", async () => {
    open.disabled = true;
    const opened = await openForm();
    open.disabled = false;
    if (opened === "none") { open.hidden = true; note.textContent = "Airflow's form did not open from here: open the run, press Trigger, and paste this as its configuration."; }
    if (opened === "empty" && answer.conf) note.textContent = "Airflow has opened its form without what this run was given: paste this as its configuration.";
    if (opened === "empty" && answer.is_too_long) note.textContent = "Airflow has opened its form without what this run was given, which is too long to be shown here; the run's page in Airflow has it.";
  });
});
