// Short ways of writing, made long when the cell is left: what stands in a cell is what is stored.

import { grid, neighbour, rowOf } from "./grid.js";
import { changed } from "./saving.js";

const DAYS = new Set(["collected_on", "received_on"]);

/** The last such day before or on the day of the run: "27" or "27.11" or "27/11". */
function wholeDay(typed) {
  const found = typed.match(/^(\d{1,2})(?:[./-](\d{1,2})[./-]?)?$/);
  if (!found) return typed;
  const latest = new Date(`${grid.dataset.runOn}T00:00:00Z`);
  for (let back = 0; back < 366; back += 1) {
    const day = new Date(latest.getTime() - back * 86400000);
    const fits = day.getUTCDate() === Number(found[1]);
    if (fits && (!found[2] || day.getUTCMonth() + 1 === Number(found[2]))) return day.toISOString().slice(0, 10);
  }
  return typed;
}

/** The next number of the accession above, with as many digits. */
function nextNumber(above) {
  const found = above.match(/^(.*?)(\d+)$/);
  return found ? found[1] + String(BigInt(found[2]) + 1n).padStart(found[2].length, "0") : "";
}

function whole(cell) {
  const above = neighbour(cell, -1, 0)?.value ?? "";
  if (cell.value === '"') return above || cell.value;
  if (cell.name === "accession_number" && cell.value === "+") return nextNumber(above) || cell.value;
  return DAYS.has(cell.name) ? wholeDay(cell.value.trim()) : cell.value;
}

/** Write out what was typed short. */
export function writeOut(cell) {
  const written = whole(cell);
  if (written !== cell.value) {
    cell.value = written;
    changed(rowOf(cell));
  }
}

grid.addEventListener("focusout", (event) => {
  const cell = event.target;
  if (!cell.matches("td > input")) return;
  writeOut(cell);
  // The end of a pseudonym is completed once the cell is left, and not while somebody may still be typing in it.
  if (cell.name === "patient_id" && cell.value !== cell.defaultValue) changed(rowOf(cell));
});
