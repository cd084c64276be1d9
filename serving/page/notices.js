/** Notices in place of an answer: problems, each with a remedy. */

import { announce, make, makeIcon } from "./dom.js";

const TITLES = {
  offline: "No connection to the service",
  token: "A token is needed",
  missing: "Not found",
  busy: "Too many requests",
  loading: "The service is starting",
  refused: "The request failed",
};
const RETRIED_S = { offline: 10 }; // if the service could not name a wait

/** Return a centred message; `action` is `{label, run}` or null. */
export function makeNotice({ icon, title, text, action = null }, { isCompact = false } = {}) {
  const button = action && make("button", { type: "button", class: "quiet", text: action.label, click: action.run });
  const classes = isCompact ? "notice compact" : "notice";
  return make("div", { class: classes }, makeIcon(icon), make("h2", { text: title }), make("p", { text }), button);
}

/** Return a message about a failed call; `retry` is called on a click, or after the wait. */
export function makeProblem(error, retry, options = {}) {
  const waitS = error.retryAfterS ?? RETRIED_S[error.kind] ?? null;
  const run = once(retry);
  const notice = makeNotice(
    {
      icon: waitS === null ? "problem" : "wait",
      title: TITLES[error.kind] ?? "Something went wrong",
      text: error.message,
      action: error.kind === "missing" ? null : { label: "Try again", run },
    },
    options,
  );
  announce(`${TITLES[error.kind] ?? "Something went wrong"}. ${error.message}`);
  if (waitS !== null) countDown(notice, waitS, run);
  if (error.kind === "offline") window.addEventListener("online", () => notice.isConnected && run(), { once: true });
  return notice;
}

/** Try again after some seconds, unless the message was removed. */
function countDown(notice, seconds, run) {
  const button = notice.querySelector("button");
  let left = Math.ceil(seconds);
  button.textContent = `Try again (${left} s)`;
  const timer = setInterval(() => {
    left -= 1;
    if (!notice.isConnected) clearInterval(timer);
    else if (left > 0) button.textContent = `Try again (${left} s)`;
    else {
      clearInterval(timer);
      run();
    }
  }, 1000);
}

function once(call) {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    call();
  };
}
