// Keys of the bench: Ctrl+Enter saves; after a scan, Enter in a text field goes to the next one instead of saving.

const form = document.getElementById("entry");

function visibleFields() {
  const all = form.querySelectorAll('input:not([type=hidden], [tabindex="-1"]), select, button.primary');
  return [...all].filter((field) => field.checkVisibility());
}

function goOnOrSave(event) {
  if (event.key !== "Enter" || event.target.matches("button")) return;
  event.preventDefault();
  if (event.ctrlKey || event.metaKey) {
    form.requestSubmit();
    return;
  }
  const fields = visibleFields();
  fields[fields.indexOf(event.target) + 1]?.focus();
}

/** What was refused is being mended: its refusal no longer stands. */
function dropRefusal(event) {
  const field = event.target.closest(".wrong");
  if (!field) return;
  field.classList.remove("wrong");
  field.querySelector(".problem")?.remove();
  for (const name of ["aria-invalid", "aria-describedby"]) event.target.removeAttribute(name);
}

/** A form is sent once, also after the browser came back to a page that it has kept. */
function sendOnce() {
  let sent = false;
  addEventListener("pageshow", () => {
    sent = false;
  });
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
}

function focusFirst() {
  const wrong = form.querySelector(".wrong input, .wrong select");
  const empty = visibleFields().find((field) => !field.value && field.name !== "centre");
  (wrong ?? empty)?.focus();
}

form.addEventListener("keydown", goOnOrSave);
form.addEventListener("input", dropRefusal);
sendOnce();
focusFirst();
