// Keeps the number of open alerts beside the menu up to date, and says it when one more is urgent.

const EVERY_MS = 30_000;
const badge = document.getElementById("alerts-count");
let urgentBefore = null;

async function count() {
  const answer = await fetch(badge.dataset.address, { headers: { Accept: "application/json" } });
  if (!answer.ok) {
    throw new Error(String(answer.status));
  }
  return answer.json();
}

function show({ open, urgent, words }) {
  badge.hidden = open === 0;
  badge.textContent = String(open);
  badge.classList.toggle("urgent", urgent > 0);
  badge.title = words;
  // Only what has become more urgent is read aloud: a number that changes all day is noise.
  if (urgentBefore !== null && urgent > urgentBefore) {
    document.getElementById("alerts-said").textContent = words;
  }
  urgentBefore = urgent;
}

async function refresh() {
  if (document.visibilityState === "visible") {
    try {
      show(await count());
      badge.classList.remove("unknown");
    } catch {
      badge.classList.add("unknown"); // what is shown may be old, and looks so
    }
  }
}

setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", refresh);
refresh();
