// Uploads a file from a browser: in parts, parallel, directly to the object store, resumable by the id of the video.
//
//   import {upload} from "./gostream-upload.js";
//   const video = await upload(file, {api: "https://api.example.com", title: "Holiday", onVideo: id => keep(id)});
//   await upload(file, {api, videoId: id});      // continues, in another page too
//
// No dependencies; gostream-md5.js must lie in the same folder. The page needs EDGE_CORS_ORIGINS at the API, a CORS rule
// of the bucket (deploy/s3/cors.json), and a Content-Security-Policy with script-src and worker-src 'self' and connect-src
// for both.

const TRANSIENT = new Set([408, 429, 500, 502, 503, 504]), TRIES = 8, REFUSALS = 5, ROUNDS = 3;
const OPEN = "STATE_OPEN", ENDED = new Set(["STATE_ABORTED", "STATE_EXPIRED"]);

export class UploadError extends Error {
  // `reason` is that of the API or the code of the store; `transient`: a later try may succeed.
  constructor(message, {reason = "", status = 0, transient = false} = {}) {
    super(message);
    Object.assign(this, {name: "UploadError", reason, status, transient});
  }
}

// Options: api, videoId or title (default: the name of the file), contentType, process (options of the encode; null: start
// none), headers (a function that returns headers for the API), parallel (4), stall (milliseconds without progress),
// signal, onVideo(id), onProgress(bytes, size). Returns the video; throws UploadError, or the reason of `signal`.
export async function upload(file, options = {}) {
  const o = {api: "", process: {}, parallel: 4, stall: 60_000, headers: () => ({}), onVideo() {}, onProgress() {}, ...options};
  const api = caller(o), hasher = new Hasher();
  try {
    const id = o.videoId ?? await created(api, file, o);
    o.onVideo(id);
    let session = await repeated(o, () => opened(api, id, file.size));
    for (let round = 1; ; round++) {
      if (session.state === OPEN) await sendParts(api, hasher, file, session, o);
      try {
        const body = {generation: session.generation, ...(o.process && {process: o.process})};
        return await repeated(o, () => api("POST", `/${id}/upload:complete`, body));
      } catch (error) {
        if (error.reason !== "UPLOAD_INCOMPLETE" || round === ROUNDS) throw error;
      }
      await pause(1100, o.signal); // stores tell contents of a part apart by seconds
      session = await repeated(o, () => api("GET", `/${id}/upload`));
    }
  } finally {
    hasher.end();
  }
}

async function created(api, file, o) {
  const content_type = o.contentType ?? (/^(video|audio)\//.test(file.type) ? file.type : "");
  const body = {title: o.title ?? file.name, size_bytes: String(file.size), content_type, request_id: crypto.randomUUID()};
  return (await repeated(o, () => api("POST", "", body))).video.id;
}

async function opened(api, id, size) {
  const create = () => api("POST", `/${id}/upload`, {size_bytes: String(size)});
  let session;
  try {
    session = await api("GET", `/${id}/upload`);
  } catch (error) {
    if (error.reason !== "UPLOAD_CLOSED") throw error; // no session yet
    return create();
  }
  if (Number(session.size_bytes) !== size) throw new UploadError("the file has another size than the upload that is to continue");
  return ENDED.has(session.state) ? create() : session;
}

async function sendParts(api, hasher, file, session, o) {
  const size = Number(session.part_size), stored = new Map(session.parts.map(part => [part.number, part.md5]));
  const sent = new Array(session.part_count).fill(0), failed = new AbortController();
  const signal = o.signal ? AbortSignal.any([o.signal, failed.signal]) : failed.signal;
  const count = (number, bytes) => { sent[number - 1] = bytes; o.onProgress(sent.reduce((a, b) => a + b, 0), file.size); };
  let next = 1;
  const work = async () => {
    while (next <= session.part_count) {
      signal.throwIfAborted();
      const number = next++, body = await file.slice((number - 1) * size, number * size).arrayBuffer();
      const md5 = await hasher.md5(body.slice(0));
      if (stored.get(number) !== md5) await sendPart(api, session, number, body, md5, {...o, signal}, bytes => count(number, bytes));
      count(number, body.byteLength);
    }
  };
  count(1, 0);
  try {
    await Promise.all(Array.from({length: Math.min(o.parallel, session.part_count)}, work));
  } catch (error) {
    failed.abort(error);
    throw error;
  }
}

async function sendPart(api, session, number, body, md5, o, count) {
  let refusals = 0, asked = false;
  await repeated(o, async () => {
    for (;;) {
      const request = {generation: session.generation, parts: [{number, md5}]};
      const {parts: [part]} = await api("POST", `/${session.video_id}/upload:sign`, request);
      try {
        return await put(part, body, o, count);
      } catch (error) {
        count(0);
        if (error.status === 404 && !asked) { // the session may have ended
          asked = true;
          const now = await api("GET", `/${session.video_id}/upload`);
          if (now.state === OPEN && now.generation === session.generation) continue;
          throw new UploadError("another client has changed the upload", {reason: "UPLOAD_CLOSED"});
        }
        if (error.status !== 403 || ++refusals === REFUSALS) throw error; // 403: the URL has expired
      }
    }
  });
}

// fetch reports no progress, by which a stalled connection is detected.
function put(part, body, o, count) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer;
    const moved = () => { clearTimeout(timer); timer = setTimeout(() => request.abort(), o.stall); };
    const stop = () => request.abort();
    const end = (action, value) => { clearTimeout(timer); o.signal.removeEventListener("abort", stop); action(value); };
    const lost = () => end(reject, o.signal.aborted ? o.signal.reason : new UploadError(`part ${part.number} was not confirmed`, {transient: true}));
    request.upload.onprogress = event => { moved(); count(event.loaded); };
    request.onerror = request.onabort = lost;
    request.onload = () => {
      if (request.status < 300) return end(resolve);
      const reason = /<Code>([^<]{1,100})</.exec(request.responseText)?.[1] ?? "", status = request.status;
      const transient = TRANSIENT.has(status) || status === 409 || reason === "BadDigest";
      return end(reject, new UploadError(`the store answered ${status} to part ${part.number}`, {reason, status, transient}));
    };
    o.signal.addEventListener("abort", stop);
    request.open("PUT", part.url);
    for (const [name, value] of Object.entries(part.headers)) request.setRequestHeader(name, value);
    moved();
    request.send(body);
  });
}

function caller(o) {
  return async (method, path, body) => {
    const headers = {...(body && {"content-type": "application/json"}), ...await o.headers()};
    let reply;
    try {
      reply = await fetch(`${o.api}/v1/videos${path}`, {method, headers, body: body && JSON.stringify(body), signal: o.signal});
    } catch (error) {
      if (o.signal?.aborted) throw o.signal.reason;
      throw new UploadError(`the API does not answer: ${error.message}`, {transient: true});
    }
    const answer = await reply.json().catch(() => ({}));
    if (reply.ok) return answer;
    const reason = answer.details?.find(each => each.reason)?.reason ?? "";
    const transient = TRANSIENT.has(reply.status) && reason !== "QUEUE_FULL" && reason !== "QUOTA_EXCEEDED";
    throw new UploadError(answer.message ?? `HTTP ${reply.status}`, {reason, status: reply.status, transient});
  };
}

async function repeated(o, work) {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!error.transient || tries === TRIES) throw error;
      await pause(Math.min(500 * 2 ** tries, 10_000) * (0.5 + Math.random() / 2), o.signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); });
  });
}

class Hasher {
  #worker = new Worker(new URL("gostream-md5.js", import.meta.url), {type: "module"});
  #waiting = new Map();
  #count = 0;
  constructor() {
    this.#worker.onmessage = ({data}) => { this.#waiting.get(data.id).resolve(data.md5); this.#waiting.delete(data.id); };
    this.#worker.onerror = () => { for (const {reject} of this.#waiting.values()) reject(new UploadError("gostream-md5.js cannot be loaded")); };
  }
  md5(body) { // takes the buffer
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {resolve, reject});
      this.#worker.postMessage({id, body}, [body]);
    });
  }
  end() { this.#worker.terminate(); }
}
