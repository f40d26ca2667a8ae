// The grid of a run: its rows and cells, and moving between them.

export const grid = document.getElementById("grid");

export const rows = () => [...grid.tBodies[0].rows];
export const cellsOf = (row) => [...row.querySelectorAll("td > input")];
export const rowOf = (cell) => cell.closest("tr");
export const placeOf = (row) => Number(row.dataset.place);
export const values = (row) => Object.fromEntries(cellsOf(row).map((cell) => [cell.name, cell.value]));

/** The row of a place; missing ones are added below the last, as long as the run may hold them. */
export function rowAt(place) {
  const most = Number(grid.dataset.mostRows);
  while (rows().length < Math.min(place, most)) addRow();
  return rows()[place - 1];
}

function addRow() {
  const last = rows().at(-1);
  const row = last.cloneNode(true);
  const place = placeOf(last) + 1;
  row.dataset.place = String(place);
  row.dataset.version = "0";
  row.dataset.state = "empty";
  const head = row.querySelector("th");
  head.id = `r-${place}`;
  head.firstChild.textContent = String(place);
  head.querySelector(".mark").hidden = true;
  for (const cell of cellsOf(row)) {
    cell.value = cell.defaultValue = "";
    cell.removeAttribute("aria-invalid");
    cell.removeAttribute("title");
    cell.setAttribute("aria-labelledby", `h-${cell.name} r-${place}`);
  }
  for (const said of row.querySelectorAll("td.said")) said.replaceChildren();
  last.after(row);
}

export function focusCell(cell) {
  cell?.focus();
  cell?.select();
}

/** The cell so many rows below and so many columns to the right, where there is one. */
export function neighbour(cell, down, right) {
  const place = placeOf(rowOf(cell)) + down;
  const column = cellsOf(rowOf(cell)).indexOf(cell) + right;
  const row = place > 0 ? rowAt(place) : undefined;
  return row && cellsOf(row)[column];
}

/** How many rows stand how, in the head of the run. */
export function tally() {
  for (const shown of document.querySelectorAll("#tally [data-count]")) {
    shown.textContent = String(rows().filter((row) => row.dataset.state === shown.dataset.count).length);
  }
}
