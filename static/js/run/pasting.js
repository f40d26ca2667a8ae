// A block of a spreadsheet: what it would be is asked first, and taken over or left as a whole.

import { cellsOf, focusCell, grid, placeOf, rowAt, rowOf } from "./grid.js";
import { ask, changed, sendNow } from "./saving.js";

const shown = document.getElementById("paste-said");

function blockOf(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => line.split("\t").map((cell) => cell.trim()));
}

/** The rows as they would be with the block laid over them from a cell on. */
function laidOver(anchor, block) {
  const first = placeOf(rowOf(anchor));
  const column = cellsOf(rowOf(anchor)).indexOf(anchor);
  const most = Number(grid.dataset.mostRows);
  return block.slice(0, most - first + 1).map((line, n) => {
    const row = rowAt(first + n);
    const cells = Object.fromEntries(
      cellsOf(row).map((cell, k) => [cell.name, line[k - column] !== undefined ? line[k - column] : cell.value]),
    );
    return { place: first + n, seen: Number(row.dataset.version), cells };
  });
}

async function offer(anchor, block) {
  const rows = laidOver(anchor, block);
  const answer = await ask({ rows, dry: true });
  if (answer.problem) {
    shown.textContent = answer.problem;
    return;
  }
  shown.innerHTML = answer.html;
  const end = () => {
    shown.replaceChildren();
    shown.removeEventListener("keydown", keys);
    focusCell(anchor);
  };
  const keys = (event) => {
    if (event.key === "Escape") end();
  };
  shown.addEventListener("keydown", keys);
  shown.querySelector("[data-paste=leave]").addEventListener("click", end);
  const take = shown.querySelector("[data-paste=take]");
  take.addEventListener("click", () => {
    for (const one of rows) {
      const row = rowAt(one.place);
      for (const cell of cellsOf(row)) cell.value = one.cells[cell.name];
      changed(row);
    }
    sendNow();
    end();
  });
  take.focus();
}

grid.addEventListener("paste", (event) => {
  const text = event.clipboardData.getData("text/plain");
  const block = blockOf(text);
  if (block.length === 1 && block[0].length === 1) return;
  event.preventDefault();
  offer(event.target, block).catch((problem) => {
    shown.textContent = String(problem.message);
  });
});
