/** The address of the page: it holds the query, the video that is searched in, and the moment that is shown. */

/** What is shown: `moment` is `{video_id, start_s, end_s}` or null, `scope` the id of a video or null. */
export function readAddress(search = location.search) {
  const values = new URLSearchParams(search);
  return { query: (values.get("q") ?? "").trim(), scope: values.get("in") || null, moment: readMoment(values) };
}

/** Return the address of what is shown, relative to the page. */
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

/** Tell whether two moments are one as far as an address can tell. */
export function isSameMoment(one, other) {
  return writeAddress({ moment: one }) === writeAddress({ moment: other });
}

/** Moves through the history; `show` is called with each address that is to be shown. */
export class Navigator {
  #show;

  constructor(show) {
    this.#show = show;
    window.addEventListener("popstate", () => this.#show(readAddress(), { isReturn: true }));
  }

  /** Show another address, as a new step of the history. */
  go(address) {
    const next = writeAddress(address);
    if (next !== writeAddress(readAddress())) history.pushState(null, "", next);
    this.#show(readAddress(), { isReturn: false });
  }

  /** Note what the present step has come to show. */
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
