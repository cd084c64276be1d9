/** The address of the page: the query, the video to search in, and the shown moment. */

/** Read an address: `moment` is `{video_id, start_s, end_s}` or null, `scope` the id of a video or null. */
export function readAddress(search = location.search) {
  const values = new URLSearchParams(search);
  return { query: (values.get("q") ?? "").trim(), scope: values.get("in") || null, moment: readMoment(values) };
}

/** Return the address of a state, relative to the page. */
function writeAddress({ query = "", scope = null, moment = null }) {
  const values = new URLSearchParams();
  if (query) values.set("q", query);
  if (scope) values.set("in", scope);
  if (moment) {
    values.set("v", moment.video_id);
    values.set("t", `${trim(moment.start_s)}-${trim(moment.end_s)}`);
  }
  return values.size ? `?${values}` : "./";
}

/** Tell whether two moments have the same address. */
export function isSameMoment(one, other) {
  return writeAddress({ moment: one }) === writeAddress({ moment: other });
}

/** Moves through the history, and calls `show` with each new address. */
export class Navigator {
  #show;

  constructor(show) {
    this.#show = show;
    window.addEventListener("popstate", () => this.#show(readAddress(), { isReturn: true }));
  }

  /** Show another address as a new entry of the history. */
  go(address) {
    const next = writeAddress(address);
    if (next !== writeAddress(readAddress())) history.pushState(null, "", next);
    this.#show(readAddress(), { isReturn: false });
  }

  /** Replace the address of the current entry of the history. */
  amend(address) {
    history.replaceState(null, "", writeAddress(address));
  }
}

function readMoment(values) {
  const [, start, end] = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(values.get("t") ?? "") ?? [];
  const videoId = values.get("v");
  if (!videoId || start === undefined || Number(start) >= Number(end)) return null;
  return { video_id: videoId, start_s: Number(start), end_s: Number(end) };
}

function trim(seconds) {
  return Number(seconds.toFixed(2)).toString();
}
