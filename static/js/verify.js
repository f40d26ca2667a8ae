// Keys of the second person's page: j and k go through the results, v verifies, b and r write a note.

const results = () => [...document.querySelectorAll("article.waiting")];

function current() {
  return document.activeElement?.closest("article.waiting");
}

function go(step) {
  const all = results();
  const next = all[Math.max(0, Math.min(all.length - 1, all.indexOf(current()) + step))];
  if (!next) return;
  const behind = next.querySelector("details");
  if (behind) behind.open = true;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function note(kind) {
  const review = current()?.querySelector("details.review");
  if (!review) return;
  review.open = true;
  review.querySelector("input[name=note]").focus();
  review.dataset.kind = kind;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) {
    const review = event.target.closest("details.review");
    if (review && event.key === "Enter" && review.dataset.kind) {
      event.preventDefault();
      review.querySelector(`button[value=${review.dataset.kind}]`).click();
    }
    return;
  }
  const deeds = {
    j: () => go(1),
    k: () => go(-1),
    v: () => current()?.querySelector("[data-key=v]")?.click(),
    b: () => note("sent_back"),
    r: () => note("repeat"),
  };
  const deed = deeds[event.key.toLowerCase()];
  if (!deed) return;
  event.preventDefault();
  deed();
});
