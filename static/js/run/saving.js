// Rows go to the server as they are typed and left. One that could not be sent keeps a mark and is sent again; nothing
// is kept in the browser beyond this page.

import { cellsOf, grid, placeOf, rowAt, rowOf, tally, values } from "./grid.js";

const TYPING_MS = 600;
const AGAIN_MS = [1000, 2000, 5000, 10000];
const said = document.getElementById("sent");
const waiting = new Set(); // places whose cells are newer than what is stored
let timer = 0;
let isSending = false;
let failures = 0;

export const isAllSent = () => waiting.size === 0 && !isSending;

/** A cell of a row was changed: it is sent soon, or now when the row is left. */
export function changed(row) {
  waiting.add(placeOf(row));
  later(TYPING_MS);
}

export function sendNow() {
  clearTimeout(timer);
  return send();
}

function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(send, ms);
}

export async function ask(body) {
  const answer = await fetch(grid.dataset.rowsAddress, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value,
    },
    body: JSON.stringify(body),
  });
  if (!answer.headers.get("Content-Type")?.includes("json")) throw new Error(`answered ${answer.status}`);
  return answer.json();
}

async function send() {
  if (isSending || waiting.size === 0) return;
  isSending = true;
  const places = [...waiting];
  const sent = places.map((place) => {
    const row = rowAt(place);
    const active = document.activeElement;
    const editing = row.contains(active) ? active.name : "";
    return { place, seen: Number(row.dataset.version), cells: values(row), editing };
  });
  waiting.clear();
  try {
    const answer = await ask({ rows: sent });
    failures = 0;
    if (answer.problem) {
      say(answer.problem, true);
    } else {
      for (const [n, row] of answer.rows.entries()) show(row, sent.find((one) => one.place === row.place) ?? sent[n]);
      tally();
      if (waiting.size === 0) say(said.dataset.saved, false);
    }
  } catch {
    for (const place of places) {
      waiting.add(place);
      mark(rowAt(place), true);
    }
    say(said.dataset.unsent, true);
    failures += 1;
    isSending = false;
    later(AGAIN_MS[Math.min(failures, AGAIN_MS.length) - 1]);
    return;
  }
  isSending = false;
  if (waiting.size > 0) later(0);
}

function say(words, isWrong) {
  said.textContent = words;
  said.classList.toggle("error", isWrong);
}

function mark(row, isUnsent) {
  row.querySelector(".mark").hidden = !isUnsent;
}

/** What the server says of a row; what was typed since then stays as it is. */
function show(answer, sent) {
  const row = rowAt(answer.place);
  mark(row, false);
  row.dataset.version = String(answer.version);
  row.dataset.state = answer.state;
  for (const cell of cellsOf(row)) {
    const stored = answer.cells[cell.name] ?? "";
    const isUntouched = cell.value.trim() === (sent.cells[cell.name] ?? "").trim();
    cell.defaultValue = stored;
    if (!answer.stale && isUntouched && cell !== document.activeElement) cell.value = stored;
    const problem = answer.problems[cell.name];
    cell.toggleAttribute("aria-invalid", Boolean(problem));
    if (problem) {
      cell.setAttribute("aria-invalid", "true");
      cell.title = problem;
    } else {
      cell.removeAttribute("title");
    }
  }
  for (const old of row.querySelectorAll("td.said")) old.remove();
  const template = document.createElement("template");
  template.innerHTML = answer.html;
  row.append(template.content);
  row.querySelector(".take")?.addEventListener("click", () => {
    for (const cell of cellsOf(row)) cell.value = cell.defaultValue;
    changed(row);
    sendNow();
  });
}

addEventListener("online", sendNow);
addEventListener("beforeunload", (event) => {
  if (!isAllSent()) event.preventDefault();
});
grid.addEventListener("input", (event) => changed(rowOf(event.target)));
grid.addEventListener("focusout", (event) => {
  const next = event.relatedTarget;
  if (!next || !grid.contains(next) || rowOf(next) !== rowOf(event.target)) sendNow();
});
