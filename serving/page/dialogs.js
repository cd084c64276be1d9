/** Dialogs: the token, a deletion, the list of keys. */

import { ServiceError, signIn } from "./api.js";
import { find } from "./dom.js";

let pendingToken = null;

/** Ask for the token until it is right; rejects when the visitor cancels. Concurrent calls share one dialog. */
export function askForToken() {
  pendingToken ??= openTokenDialog().finally(() => {
    pendingToken = null;
  });
  return pendingToken;
}

/** Ask whether to delete a video. The text explains the effect, which differs for uploads and videos of the collection. */
export function confirmDeletion({ title, origin }) {
  const dialog = find("confirm-dialog");
  const isUpload = origin === "upload";
  find("confirm-heading").textContent = isUpload ? "Delete this video?" : "Remove this video from the search?";
  find("confirm-yes").textContent = isUpload ? "Delete" : "Remove";
  find("confirm-text").textContent = isUpload ? describeUploadDeletion(title) : describeRemoval(title);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

function describeUploadDeletion(title) {
  return `“${title}”, its pictures and its index entries are deleted from the service. To search in it again, upload it again.`;
}

function describeRemoval(title) {
  return (
    `“${title}” is no longer found, listed or played, even after a restart. Its file on disk is not deleted. ` +
    "To bring it back, remove its line from deletions.jsonl in the service's state folder and restart the service."
  );
}

/** Return the announcement of a deletion. */
export function describeDeletion({ title, origin }) {
  return origin === "upload" ? `${title} is deleted.` : `${title} is removed from the search.`;
}

/** Show the list of keys. */
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
      else reject(new ServiceError("token", "This service needs its token."));
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

/** Return why a token was rejected, an empty text if it was accepted. */
async function tryToken(token) {
  try {
    return (await signIn(token)) ? "" : "The token is wrong.";
  } catch (error) {
    return error.message;
  }
}
