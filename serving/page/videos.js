/** What the service knows of its videos. */

import { request } from "./api.js";

const known = new Map();

/** Return a part of the videos whose title or id holds `text`, and how many those are: uploads first. */
export async function listVideos({ offset, limit, text, signal }) {
  const values = new URLSearchParams({ offset, limit, ...(text ? { search: text } : {}) });
  const answer = await request(`videos?${values}`, { signal });
  for (const video of answer.videos) known.set(video.video_id, video);
  return answer;
}

/** Return a video as it is at this moment. */
export async function checkVideo(videoId, signal) {
  const video = await request(`videos/${encodeURIComponent(videoId)}`, { signal });
  known.set(videoId, video);
  return video;
}

/** Return a video; what was heard of it before is good enough. */
export async function describeVideo(videoId, signal) {
  const video = known.get(videoId);
  return video?.state === "ready" ? video : checkVideo(videoId, signal);
}

/** Delete an upload. */
export async function deleteVideo(videoId) {
  await request(`videos/${encodeURIComponent(videoId)}`, { method: "DELETE" });
  known.delete(videoId);
}
