/** One upload as an entry of the tray, from the file to a searchable video. */

import { request, sendVideo, ServiceError } from "./api.js";
import { announce, make } from "./dom.js";
import { checkVideo, deleteVideo } from "./videos.js";

const POLL_MS = 700;

/** Fires `open` with the id of the video, `remove` to remove the entry, `change` when the list of videos changes. */
export class UploadEntry extends EventTarget {
  #controller = new AbortController();
  #videoId = null;
  #file = null;
  #state = "";
  #text = make("span", { class: "upload-state" });
  #bar;
  #button = make("button", { type: "button", class: "quiet small", click: () => this.#act() });
  #again = make("button", { type: "button", class: "quiet small", text: "Try again", click: () => this.send(this.#file) });

  constructor(title) {
    super();
    this.title = title;
    this.#bar = make("progress", { max: "1", value: "0", "aria-label": `Progress of ${title}` });
    const name = make("span", { class: "upload-title", text: title, title });
    this.#again.setAttribute("aria-label", `Try again: ${title}`);
    this.element = make("div", { class: "upload" }, name, this.#text, this.#again, this.#button, this.#bar);
    this.#show("queued", 0, "Waiting to be sent");
  }

  get videoId() { return this.#videoId; }
  get isFinished() { return ["ready", "failed"].includes(this.#state); }

  /** Send a file; returns when the service has accepted or refused it. */
  async send(file) {
    if (this.#controller.signal.aborted) return;
    this.#file = file;
    try {
      await this.#requireRoom(file);
      const report = (share) => this.#show("sending", share, `Sending, ${Math.floor(100 * share)} %`);
      report(0);
      const video = await sendVideo(file, { report, signal: this.#controller.signal });
      this.follow(video);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#fail(error.message);
      this.#again.hidden = !(error instanceof ServiceError) || error.kind === "refused";
    }
  }

  /** Refuse a file that is too large, or a visitor without the token, before the upload starts. */
  async #requireRoom(file) {
    const { limits } = await request("version", { signal: this.#controller.signal });
    const megabytes = Math.ceil(file.size / 1e6);
    if (megabytes <= limits.max_upload_mb) return;
    throw new Error(`The file has ${megabytes} MB, but the limit is ${limits.max_upload_mb} MB. Choose a smaller file.`);
  }

  /** Show the progress of the indexing of a video until it ends. */
  async follow(video) {
    this.#videoId = video.video_id;
    this.dispatchEvent(new Event("change"));
    let latest = video;
    while (!this.#controller.signal.aborted && this.#showVideo(latest)) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      latest = await this.#check(latest);
    }
  }

  async #check(latest) {
    try {
      return await checkVideo(this.#videoId, this.#controller.signal);
    } catch (error) {
      if (error.kind === "missing") return { ...latest, state: "failed", reason: "It was deleted." };
      return latest; // offline or busy: the next check tells more
    }
  }

  /** Show a state; return whether the indexing still runs. */
  #showVideo({ state, progress, reason }) {
    if (state === "failed") this.#fail(reason);
    else if (state === "waiting") this.#show("waiting", 0, "Waiting to be indexed");
    else if (state === "indexing") this.#show("indexing", progress, `Indexing, ${Math.floor(100 * progress)} %`);
    else this.#finish();
    return !this.isFinished;
  }

  #finish() {
    this.#show("ready", 1, "Ready to be searched");
    announce(`${this.title} is ready to be searched.`);
    this.dispatchEvent(new Event("change"));
  }

  #fail(reason) {
    this.#show("failed", 0, reason);
    announce(`${this.title} was refused. ${reason}`);
    this.dispatchEvent(new Event("change"));
  }

  #show(state, share, text) {
    this.#state = this.element.dataset.state = state;
    this.#text.textContent = text;
    this.#bar.hidden = this.isFinished;
    this.#again.hidden = true;
    this.#bar.value = share;
    const label = { ready: "Search in it", failed: "Dismiss" }[state] ?? "Stop";
    this.#button.textContent = label;
    this.#button.setAttribute("aria-label", `${label}: ${this.title}`);
  }

  #act() {
    if (this.#state === "ready") this.dispatchEvent(new CustomEvent("open", { detail: this.#videoId }));
    else if (this.#state !== "failed") this.#stop();
    this.dispatchEvent(new Event("remove"));
  }

  async #stop() {
    this.#controller.abort();
    if (this.#videoId === null) return;
    await deleteVideo(this.#videoId).catch((error) => announce(`${this.title} could not be deleted. ${error.message}`));
    this.dispatchEvent(new Event("change"));
  }
}
