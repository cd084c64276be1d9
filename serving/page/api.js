/** Calls to the service, and their errors. */

const KINDS = { 401: "token", 404: "missing", 429: "busy", 503: "loading" };
const SILENCE = { busy: 5, loading: 3 }; // seconds to wait if the service names none

/** Asks the visitor for a token; set by `useTokenPrompt`. */
let askForToken = () => Promise.reject(new ServiceError("token", "This service needs a token."));

/** A call that failed. `kind` is offline, token, missing, busy, loading or refused. */
export class ServiceError extends Error {
  constructor(kind, message, retryAfterS = null) {
    super(message);
    this.kind = kind;
    this.retryAfterS = retryAfterS;
  }
}

/** Set the function that asks for a token; it resolves once there is one. */
export function useTokenPrompt(ask) {
  askForToken = ask;
}

/** Return the response to a call, `null` if it is empty; throws ServiceError, or AbortError when `signal` ends the call. */
export async function request(path, { method = "GET", body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await send(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.status === 401) {
    await askForToken();
    return request(path, { method, body, signal });
  }
  if (!response.ok) throw await readProblem(response);
  return response.status === 204 ? null : response.json();
}

/** Exchange a token for a cookie; return whether the token was right. */
export async function signIn(token) {
  const response = await send("login", { method: "POST", redirect: "manual", body: new URLSearchParams({ token }) });
  if (response.type === "opaqueredirect" || response.ok) return true;
  if (response.status === 401) return false;
  throw await readProblem(response);
}

/** Send a file; `report` gets the share that is sent. Returns the new video. */
export function sendVideo(file, { report, signal }) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest(); // fetch reports no progress of a body
    const form = new FormData();
    form.append("title", file.name);
    form.append("file", file, file.name);
    call.upload.addEventListener("progress", (event) => event.lengthComputable && report(event.loaded / event.total));
    call.addEventListener("error", () => reject(offline()));
    call.addEventListener("abort", () => reject(new DOMException("the upload was stopped", "AbortError")));
    call.addEventListener("load", () => {
      const text = call.responseText;
      if (call.status < 400) resolve(JSON.parse(text));
      else reject(toProblem(call.status, text, call.getResponseHeader("Retry-After")));
    });
    signal.addEventListener("abort", () => call.abort());
    call.open("POST", toUrl("videos"));
    call.setRequestHeader("Accept", "application/json");
    call.send(form);
  });
}

/** Return the address of a video's media. */
export function findMediaUrl(videoId) {
  return toUrl(`media/${encodeURIComponent(videoId)}`);
}

/** Return the address of the picture of a moment, `null` if its video has none. */
export function findPictureUrl({ video_id, num_thumbnails, duration_s }, timeS) {
  if (!num_thumbnails) return null;
  const share = duration_s ? timeS / duration_s : 0;
  const number = Math.min(num_thumbnails - 1, Math.max(0, Math.floor(share * num_thumbnails)));
  return toUrl(`thumbnails/${encodeURIComponent(video_id)}/${number}.jpg`);
}

/** Return why a media file failed to load, `null` if it loads now. */
export async function findMediaProblem(videoId) {
  const response = await send(`media/${encodeURIComponent(videoId)}`, { headers: { Range: "bytes=0-0", Accept: "application/json" } });
  return response.ok ? null : readProblem(response);
}

function toUrl(path) {
  return new URL(path, document.baseURI).href;
}

async function send(path, options) {
  try {
    return await fetch(toUrl(path), { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offline();
  }
}

function offline() {
  return new ServiceError("offline", "The service cannot be reached. Check the connection; the page tries again when it is back.");
}

async function readProblem(response) {
  return toProblem(response.status, await response.text(), response.headers.get("Retry-After"));
}

function toProblem(status, text, retryAfter) {
  const kind = KINDS[status] ?? "refused";
  const waitS = kind in SILENCE ? Number(retryAfter) || SILENCE[kind] : null;
  return new ServiceError(kind, readReason(text) ?? `The service answered with status ${status}.`, waitS);
}

function readReason(text) {
  try {
    const reason = JSON.parse(text).error;
    return typeof reason === "string" ? reason : null;
  } catch {
    return null; // a proxy answers with its own page
  }
}
