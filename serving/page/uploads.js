/** Uploads: chosen by a button or dropped on the page, shown in a tray until they can be searched. */

import { find, make, makeIcon } from "./dom.js";
import { UploadEntry } from "./upload_entry.js";

/** Fires `open` with the id of a video, `change` when the list of videos changes. */
export class Uploads extends EventTarget {
  #entries = new Set();
  #sending = Promise.resolve();
  #list = make("div");

  constructor() {
    super();
    const close = make("button", { type: "button", "aria-label": "Remove finished uploads", click: () => this.#removeFinished() });
    close.append(makeIcon("close"));
    find("tray").append(make("h2", { text: "Uploads" }, close), this.#list);
    find("upload").addEventListener("click", () => this.choose());
    find("file").addEventListener("change", () => this.#take(find("file")));
    this.#listenToDrops();
  }

  /** Open the file dialog. */
  choose() {
    find("file").click();
  }

  /** Show uploads that began before this page was opened. */
  resume(videos) {
    for (const video of videos) {
      const isOpen = video.state === "waiting" || video.state === "indexing";
      const isShown = [...this.#entries].some((entry) => entry.videoId === video.video_id);
      if (isOpen && !isShown) this.#add(video.title).follow(video);
    }
  }

  #take(input) {
    this.#send([...input.files]);
    input.value = "";
  }

  /** Send files one after the other. */
  #send(files) {
    for (const file of files) {
      const entry = this.#add(file.name);
      this.#sending = this.#sending.then(() => entry.send(file));
    }
  }

  #add(title) {
    const entry = new UploadEntry(title);
    this.#entries.add(entry);
    entry.addEventListener("open", ({ detail }) => this.dispatchEvent(new CustomEvent("open", { detail })));
    entry.addEventListener("change", () => this.dispatchEvent(new Event("change")));
    entry.addEventListener("remove", () => this.#remove(entry));
    this.#list.prepend(entry.element);
    find("tray").hidden = false;
    return entry;
  }

  #remove(entry) {
    entry.element.remove();
    this.#entries.delete(entry);
    find("tray").hidden = !this.#list.childElementCount;
  }

  #removeFinished() {
    for (const entry of [...this.#entries]) if (entry.isFinished) this.#remove(entry);
  }

  #listenToDrops() {
    let depth = 0; // number of nested elements under the dragged files
    const end = () => {
      depth = 0;
      find("drop").hidden = true;
    };
    document.addEventListener("dragenter", (event) => {
      if (!carriesFiles(event)) return;
      depth += 1;
      find("drop").hidden = false;
    });
    document.addEventListener("dragleave", (event) => carriesFiles(event) && --depth <= 0 && end());
    document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      end();
      this.#send([...event.dataTransfer.files]);
    });
  }
}

function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}
