// The search field of every page: hits as you type, by keyboard. What is typed leaves the page by POST only.

const WAIT_MS = 150;
const form = document.getElementById("find");
const field = form?.querySelector("input[name=q]");
const hits = form?.querySelector(".hits");
let waiting = 0;
let asked = 0;

async function look() {
  asked += 1;
  const mine = asked;
  const typed = field.value.trim();
  if (typed === "") {
    show("");
    return;
  }
  const answer = await fetch(form.action, {
    method: "POST",
    body: new FormData(form),
    headers: { "X-Fragment": "1" },
  });
  if (mine === asked && answer.ok) {
    show(await answer.text());
  }
}

function show(fragment) {
  hits.innerHTML = fragment; // made by our own server, which escapes what is stored
  hits.hidden = fragment === "";
}

function move(step) {
  const links = [...hits.querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  (links[at + step] ?? field).focus();
}

field?.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(look, WAIT_MS);
});

form?.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && !hits.hidden) {
    event.preventDefault();
    move(step);
  } else if (event.key === "Escape") {
    show("");
    field.focus();
  }
});

document.addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input, textarea, select");
  if (event.key === "/" && !writes && field) {
    event.preventDefault();
    field.focus();
  }
});

document.addEventListener("click", (event) => {
  if (form && !form.contains(event.target)) {
    show("");
  }
});
