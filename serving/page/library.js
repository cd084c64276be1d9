/** The videos on the start page: the collection and uploads. */

import { makeThumb } from "./cards.js";
import { confirmDeletion, describeDeletion } from "./dialogs.js";
import { announce, find, make, makeIcon } from "./dom.js";
import { formatCount, formatLength } from "./format.js";
import { makeNotice, makeProblem } from "./notices.js";
import { deleteVideo, listVideos } from "./videos.js";

const PAGE = 47; // with the tile for uploads, this fills the rows at many widths

/** Fires `open` with the id of a video, `add` to upload one, `list` with the loaded videos. */
export class Library extends EventTarget {
  #list = find("library");
  #numShown = 0;
  #total = 0;
  #loading = new AbortController();

  constructor() {
    super();
    find("library-more").addEventListener("click", () => this.#load(this.#numShown));
    find("library-filter").addEventListener("input", () => this.#load(0));
  }

  /** Load and show the first videos. */
  reload() {
    if (!this.#list.childElementCount) this.#list.append(...Array.from({ length: 12 }, makeEmptyTile));
    return this.#load(0);
  }

  async #load(offset) {
    this.#loading.abort();
    this.#loading = new AbortController();
    try {
      const answer = await listVideos({ offset, limit: PAGE, text: filterText(), signal: this.#loading.signal });
      this.#show(answer, offset);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#list.replaceChildren();
      this.#numShown = 0;
      find("library-more").hidden = true;
      find("library-problem").replaceChildren(makeProblem(error, () => this.reload(), { isCompact: true }));
    }
  }

  #show({ videos, total }, offset) {
    const tiles = videos.map((video) => this.#makeTile(video));
    if (offset === 0) this.#list.replaceChildren(this.#makeAddTile(), ...tiles);
    else this.#list.append(...tiles);
    this.#count(offset + videos.length, videos.length ? total : offset);
    find("library-problem").replaceChildren(...(total ? [] : [filterText() ? makeNoMatch() : makeEmptyNotice()]));
    this.dispatchEvent(new CustomEvent("list", { detail: videos }));
  }

  #count(numShown, total) {
    this.#numShown = numShown;
    this.#total = total;
    find("library-more").hidden = numShown >= total;
    find("library-count").textContent = total ? total.toLocaleString("en") : "";
  }

  #makeTile(video) {
    const length = video.duration_s === null ? null : formatLength(video.duration_s);
    const open = make(
      "button",
      { type: "button", class: "tile-open", disabled: video.state !== "ready", click: () => this.#fire("open", video.video_id) },
      makeThumb(video, (video.duration_s ?? 0) / 2, length),
      make("span", { class: "tile-title", text: video.title, title: video.title }),
      make("span", { class: "tile-facts", text: describeState(video), title: video.reason }),
    );
    const tile = make("li", { class: "tile" }, open);
    tile.append(makeDeleteButton(video, () => this.#delete(video, tile)));
    return tile;
  }

  #makeAddTile() {
    const thumb = make("span", { class: "thumb" }, makeIcon("upload"));
    const title = make("span", { class: "tile-title", text: "Add a video" });
    const facts = make("span", { class: "tile-facts", text: "Choose a file, or drop it here" });
    const open = make("button", { type: "button", class: "tile-open", click: () => this.#fire("add", null) }, thumb, title, facts);
    return make("li", { class: "tile tile-add" }, open);
  }

  async #delete(video, tile) {
    if (!(await confirmDeletion(video))) return;
    const place = find("library-problem");
    try {
      await deleteVideo(video.video_id);
      place.replaceChildren();
      announce(describeDeletion(video));
    } catch (error) {
      place.replaceChildren(makeProblem(error, () => this.#delete(video, tile), { isCompact: true }));
      place.scrollIntoView({ block: "nearest" });
      if (error.kind !== "missing") return; // someone else deleted it already
    }
    this.#drop(tile);
  }

  /** Remove the tile of a deleted video; the tiles of all loaded pages stay. */
  #drop(tile) {
    if (!tile.isConnected) return;
    const next = tile.nextElementSibling ?? tile.previousElementSibling;
    tile.remove();
    this.#count(this.#numShown - 1, this.#total - 1);
    (next.querySelector("button:enabled") ?? find("library-filter")).focus();
    if (this.#numShown === 0) this.reload();
  }

  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function makeDeleteButton(video, run) {
  const label = `${video.origin === "upload" ? "Delete" : "Remove"} ${video.title}`;
  return make("button", { type: "button", class: "tile-delete", "aria-label": label, title: label, click: run }, makeIcon("delete"));
}

function describeState({ state, origin, reason }) {
  if (state === "failed") return `Refused: ${reason}`;
  if (state === "waiting") return "Waiting to be indexed";
  if (state === "indexing") return "Being indexed";
  return origin === "upload" ? "Uploaded" : "Collection";
}

function makeEmptyNotice() {
  return makeNotice({ icon: "video", title: "No videos yet", text: "Add the first one, and search in it a moment later." }, { isCompact: true });
}

function makeNoMatch() {
  const text = `No video has “${filterText()}” in its title.`;
  return makeNotice({ icon: "search", title: "No matching video", text }, { isCompact: true });
}

function filterText() {
  return find("library-filter").value.trim();
}

function makeEmptyTile() {
  const lines = [make("span", { class: "tile-title", text: "\u00a0" }), make("span", { class: "tile-facts", text: "\u00a0" })];
  return make("li", { class: "tile skeleton", "aria-hidden": "true" }, make("span", { class: "thumb" }), ...lines);
}
