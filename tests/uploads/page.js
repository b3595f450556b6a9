// Uploads a file of pseudo-random bytes as the address says, and reports the end.
import {upload} from "./gostream-upload.js";

const asked = new URLSearchParams(location.search), size = Number(asked.get("size")), stopAt = Number(asked.get("stop"));
const words = new Uint32Array(Math.ceil(size / 4));
for (let i = 0, seed = 1; i < words.length; i++) words[i] = seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
const file = new File([new Uint8Array(words.buffer, 0, size)], "film.mp4", {type: "video/mp4"});
const stop = new AbortController(), report = {};
document.addEventListener("securitypolicyviolation", event => { report.violation = event.violatedDirective; });
const options = {api: asked.get("api"), signal: stop.signal, onVideo: id => { report.id = id; }};
if (asked.has("id")) options.videoId = asked.get("id");
if (stopAt) options.onProgress = bytes => { if (bytes >= stopAt) stop.abort(new Error("stopped")); };
else options.onProgress = bytes => { report.last = bytes; };
try {
  report.status = (await upload(file, options)).status;
} catch (error) {
  report.error = error.message;
}
const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
report.sha256 = Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
await fetch("report", {method: "POST", body: JSON.stringify(report)});
