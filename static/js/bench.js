// Keys of the bench: Ctrl+Enter saves; after a scan, Enter in a text field goes to the next one instead of saving.
const form = document.getElementById("entry");
const fields = () => [...form.querySelectorAll("input:not([type=hidden]), select, button.primary")];
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.matches("button")) return;
  event.preventDefault();
  if (event.ctrlKey || event.metaKey) form.requestSubmit();
  else fields()[fields().indexOf(event.target) + 1]?.focus();
});
let sent = false;
form.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
const wrong = form.querySelector(".wrong input, .wrong select");
const empty = fields().find((field) => !field.value && field.name !== "centre");
(wrong ?? empty)?.focus();
