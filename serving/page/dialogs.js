/** Questions that have to be answered first: the token, a deletion; and the list of keys. */

import { ServiceError, signIn } from "./api.js";
import { find } from "./dom.js";

let pendingToken = null;

/** Ask for the token until it is right; rejects when the visitor gives up. One question at a time. */
export function askForToken() {
  pendingToken ??= openTokenDialog().finally(() => {
    pendingToken = null;
  });
  return pendingToken;
}

/** Ask whether a video is to be deleted. */
export function confirmDeletion(title) {
  const dialog = find("confirm-dialog");
  find("confirm-text").textContent = `“${title}” and its index entries are removed from the service. This cannot be undone.`;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Show what the keys do. */
export function showKeys() {
  find("keys-dialog").showModal();
}

/** Tell whether a dialog is open. */
export function isDialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}

function openTokenDialog() {
  const [dialog, form, problem] = [find("token-dialog"), find("token-form"), find("token-problem")];
  problem.textContent = "";
  form.reset();
  return new Promise((resolve, reject) => {
    const submit = async (event) => {
      event.preventDefault();
      problem.textContent = await tryToken(find("token").value);
      if (!problem.textContent) dialog.close("done");
    };
    const cancel = () => dialog.close("");
    form.addEventListener("submit", submit);
    find("token-cancel").addEventListener("click", cancel);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit);
      find("token-cancel").removeEventListener("click", cancel);
      form.reset();
      if (dialog.returnValue === "done") resolve();
      else reject(new ServiceError("token", "This service answers only with its token."));
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** Return why a token was not taken, nothing where it was. */
async function tryToken(token) {
  try {
    return (await signIn(token)) ? "" : "The token is wrong.";
  } catch (error) {
    return error.message;
  }
}
