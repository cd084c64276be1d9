/** The colours a visitor chose before, set before anything is drawn; without a choice the system's are used. */
"use strict";

(() => {
  try {
    const chosen = localStorage.getItem("cuepoint-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage can be forbidden; the system's colours are right then
  }
})();
