// Keys of the bench: Ctrl+Enter saves; after a scan, Enter in a text field goes to the next one instead of saving.
const form = document.getElementById("entry");
const fields = () =>
  [...form.querySelectorAll("input:not([type=hidden]), select, button.primary")].filter((one) => one.checkVisibility());
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.matches("button")) return;
  event.preventDefault();
  if (event.ctrlKey || event.metaKey) form.requestSubmit();
  else fields()[fields().indexOf(event.target) + 1]?.focus();
});
// What was refused is being mended: its refusal no longer stands.
form.addEventListener("input", (event) => {
  const field = event.target.closest(".wrong");
  field?.classList.remove("wrong");
  field?.querySelector(".problem")?.remove();
  if (field) ["aria-invalid", "aria-describedby"].forEach((name) => event.target.removeAttribute(name));
});
let sent = false;
addEventListener("pageshow", () => { sent = false; }); // also when the browser comes back to a page that it has kept
form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
const wrong = form.querySelector(".wrong input, .wrong select");
const empty = fields().find((field) => !field.value && field.name !== "centre");
(wrong ?? empty)?.focus();
