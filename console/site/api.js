// Calls of the API through its JSON edge.
import {bearer, refused} from "./session.js";

export const config = await (await fetch("config.json")).json();

export class ApiError extends Error {
  constructor(status, body) {
    super(body.message || `HTTP ${status}`);
    Object.assign(this, {name: "ApiError", status, reason: body.details?.find(each => each.reason)?.reason ?? ""});
  }
}

export function headers() {
  return bearer() ? {authorization: `Bearer ${bearer()}`} : {};
}

// Paths begin after /v1/videos, or after the path of another collection.
async function answered(path, {method = "GET", body, signal, collection = "videos"} = {}) {
  const sent = {...headers(), ...(body && {"content-type": "application/json"})};
  const reply = await fetch(`${config.api}/v1/${collection}${path}`, {method, headers: sent, body: body && JSON.stringify(body), signal});
  if (reply.ok) return reply;
  const error = new ApiError(reply.status, await reply.json().catch(() => ({})));
  if (error.status === 401) refused();
  throw error;
}

// Returns the JSON of a call. Throws an ApiError, or TypeError if the API cannot be reached.
export async function call(path, options) {
  const reply = await answered(path, options);
  return await reply.json();
}

// Yields the states of a video until its processing ends. Follows again after a lost connection.
export async function* watch(id, signal) {
  for (let lost = 0; ;) {
    try {
      const reply = await answered(`/${id}:watch`, {signal});
      for await (const video of lines(reply.body)) {
        lost = 0;
        yield video;
        if (video.status !== "STATUS_PROCESSING" && video.status !== "STATUS_PENDING_UPLOAD") return;
      }
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status < 500 && error.status !== 429)) throw error;
    }
    await pause(Math.min(500 * 2 ** lost++, 15_000) * (0.5 + Math.random() / 2), signal);
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let rest = ""; ;) {
      const {value, done} = await reader.read();
      if (done) return;
      const whole = (rest + value).split("\n");
      rest = whole.pop();
      for (const line of whole) if (line.trim()) yield JSON.parse(line);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); });
  });
}
