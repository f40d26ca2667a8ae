// The frame of every page: the menu of a phone, and the calendar beside a day that is typed.

const menu = document.getElementById("menu");
const button = menu?.querySelector(".menu-button");

function open(isOpen) {
  menu.toggleAttribute("data-open", isOpen);
  button.setAttribute("aria-expanded", String(isOpen));
}

button?.addEventListener("click", () => open(!menu.hasAttribute("data-open")));
menu?.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && menu.hasAttribute("data-open")) {
    open(false);
    button.focus();
  }
});

// A calendar writes its day into the field that it names; what was typed there in the centre's own habit is its start.
for (const calendar of document.querySelectorAll("input[type=date][data-for]")) {
  const typed = document.getElementById(calendar.dataset.for);
  calendar.addEventListener("change", () => {
    if (calendar.value) {
      typed.value = calendar.value;
      typed.dispatchEvent(new Event("input", { bubbles: true }));
      typed.dispatchEvent(new Event("change", { bubbles: true }));
      typed.focus();
    }
  });
}
