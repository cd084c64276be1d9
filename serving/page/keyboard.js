/** Keys that work everywhere on the page. */

import { isDialogOpen, showKeys } from "./dialogs.js";
import { find } from "./dom.js";

/** Listen for keys and pass them on to results and player. */
export function startKeyboard({ results, panel }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isDialogOpen()) return;
    if (press(event, { results, panel })) event.preventDefault();
  });
}

/** Handle a key; return whether it has a function here. */
function press(event, { results, panel }) {
  const isTyping = event.target instanceof HTMLInputElement;
  switch (event.key) {
    case "/": return !isTyping && goToSearch();
    case "?": return !isTyping && openKeys();
    case "ArrowDown": return step(results, 1);
    case "ArrowUp": return isTyping ? false : step(results, -1) || goToSearch();
    case " ": return !isTyping && togglesFrom(event.target) && toggle(panel);
    case "Escape": return panel.stepBack() || goToSearch();
    default: return false;
  }
}

function step(results, direction) {
  return !find("answer").hidden && results.step(direction);
}

/** Tell whether an element leaves the space bar to the player. */
function togglesFrom(element) {
  return !find("answer").hidden && !element.closest("button, a, [role=slider]");
}

function openKeys() {
  showKeys();
  return true;
}

function toggle(panel) {
  panel.toggle();
  return true;
}

function goToSearch() {
  find("query").focus();
  find("query").select();
  return true;
}
