// A link out of a notebook is opened after a question: what it says is the notebook's word, and where it leads a stranger's.
function outsideAddress(text) {
  try {
    const address = new URL(text);
    return ["http:", "https:", "mailto:"].includes(address.protocol) ? address : null;
  } catch { return null; }
}
function askBeforeLeaving(text) {
  const address = outsideAddress(text);
  const box = document.getElementById("leave");
  if (!address || !box) return;
  box.querySelector("strong").textContent = address.host || "mail";
  box.querySelector("p.mono").textContent = address.href;
  box.returnValue = "";
  box.onclose = () => { if (box.returnValue === "open") openApart(address.href); };
  if (!box.open) box.showModal();
}
