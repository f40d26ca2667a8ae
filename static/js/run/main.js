// Keys of a run's grid.

import { cellsOf, focusCell, grid, neighbour, placeOf, rowAt, rowOf } from "./grid.js";
import "./pasting.js";
import { changed, isAllSent, sendNow } from "./saving.js";
import { writeOut } from "./typing.js";

const keys = document.getElementById("keys");
let edited = null; // the cell in which arrows move the caret

function down(cell) {
  writeOut(cell);
  const next =
    cell.name === "accession_number" && cell.value
      ? cellsOf(rowOf(cell)).find((one) => !one.value && !one.placeholder)
      : neighbour(cell, 1, 0);
  focusCell(next ?? neighbour(cell, 1, 0));
}

function restore(cell) {
  cell.value = cell.defaultValue;
  edited = null;
  changed(rowOf(cell));
  cell.select();
}

async function toSubmit() {
  for (let tries = 0; tries < 50 && !isAllSent(); tries += 1) {
    await sendNow();
    await new Promise((done) => setTimeout(done, 100));
  }
  if (isAllSent()) location.assign(grid.dataset.submitAddress);
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function inCell(event) {
  const cell = event.target;
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (event.shiftKey) focusCell(neighbour(cell, -1, 0));
    else down(cell);
  } else if (event.key === "Escape") {
    restore(cell);
  } else if (event.key === "F2") {
    edited = cell;
    cell.setSelectionRange(cell.value.length, cell.value.length);
  } else if (event.key in ARROWS && (edited !== cell || event.key === "ArrowUp" || event.key === "ArrowDown")) {
    event.preventDefault();
    focusCell(neighbour(cell, ...ARROWS[event.key]));
  } else if (event.key === "?") {
    event.preventDefault();
    keys.showModal();
  }
}

addEventListener("keydown", (event) => {
  if (event.target.matches?.("#grid td > input")) inCell(event);
  if (!event.ctrlKey && !event.metaKey) return;
  if (event.key === "s") {
    event.preventDefault();
    document.activeElement?.blur();
    sendNow();
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (document.activeElement?.matches("#grid td > input")) writeOut(document.activeElement);
    toSubmit();
  }
});
grid.addEventListener("focusin", (event) => {
  if (event.target !== edited) edited = null;
  if (!event.target.matches("td > input")) return;
  event.target.select();
  rowAt(placeOf(rowOf(event.target)) + 1); // there is always a row to go on to
});
document.getElementById("show-keys").addEventListener("click", () => keys.showModal());
focusCell([...grid.querySelectorAll("td > input")].find((cell) => !cell.value));
