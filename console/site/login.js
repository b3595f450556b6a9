// How a person gives a token: pasted, or by OpenID Connect (authorization code with PKCE).
import {config} from "./api.js";
import {announce, button, element, field} from "./dom.js";
import {date} from "./format.js";
import {bearer, expiry, use} from "./session.js";
import {say} from "./words.js";

// What must outlive the way to the issuer and back. The token itself is never stored.
const STORED = "gostream.login";

export function showToken(page) {
  const until = expiry(), state = !bearer() ? say("token.none") : until ? say("token.until", {date: date(until)}) : say("token.inUse");
  page.append(element("h2", {}, say("token")), element("p", {}, state), ...asked());
  if (bearer()) page.append(button(say("token.forget"), () => use("")));
}

// A dialog that says why a token is wanted. One at a time.
export function askForToken() {
  if (document.getElementById("wanted")) return;
  const until = expiry();
  const why = !bearer() ? say("token.wanted") : until && until <= new Date() ? say("token.expired", {date: date(until)}) : say("token.refused");
  const dialog = element("dialog", {id: "wanted", "aria-labelledby": "wanted-why", onclose: () => dialog.remove()},
    element("p", {id: "wanted-why"}, why), ...asked(() => dialog.close()), button(say("token.close"), () => dialog.close()));
  document.body.append(dialog);
  dialog.showModal();
}

function asked(done = () => {}) {
  const input = element("input", {type: "password", autocomplete: "off", spellcheck: "false", required: true, name: "token"});
  const given = event => { event.preventDefault(); done(); use(input.value); };
  const parts = [element("form", {onsubmit: given}, field(say("token.label"), input), element("button", {}, say("token.use")))];
  if (config.issuer) parts.push(button(say("token.login", {issuer: config.issuer}), () => login().catch(failed)));
  return [...parts, element("p", {class: "quiet"}, say("token.hint"))];
}

async function login() {
  const {authorization_endpoint} = await discovered();
  const verifier = random(), state = random();
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  sessionStorage.setItem(STORED, JSON.stringify({verifier, state, hash: location.hash}));
  const target = new URL(authorization_endpoint);
  const query = {response_type: "code", client_id: config.client_id, redirect_uri: here(), scope: "openid videos:read videos:write",
    state, code_challenge: base64(new Uint8Array(digest)), code_challenge_method: "S256"};
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
  location.assign(target);
}

// Exchanges the code with which the issuer sent the person back, if there is one.
export async function finishLogin() {
  const query = new URLSearchParams(location.search), stored = JSON.parse(sessionStorage.getItem(STORED) ?? "null");
  if (!query.has("state")) return;
  sessionStorage.removeItem(STORED);
  history.replaceState(null, "", `${here()}${stored?.hash ?? ""}`);
  try {
    if (stored?.state !== query.get("state")) throw new Error("state");
    if (!query.has("code")) throw new Error(query.get("error_description") ?? query.get("error") ?? "code");
    const body = new URLSearchParams({grant_type: "authorization_code", code: query.get("code"), redirect_uri: here(),
      client_id: config.client_id, code_verifier: stored.verifier});
    const reply = await fetch((await discovered()).token_endpoint, {method: "POST", body});
    if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
    use((await reply.json()).access_token);
  } catch (error) {
    failed(error);
  }
}

async function discovered() {
  const reply = await fetch(`${config.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
  const found = await reply.json();
  if (found.issuer !== config.issuer) throw new Error("issuer");
  return found;
}

function failed(error) {
  setTimeout(announce, 0, say("login.failed", {message: error.message}));
}

function here() {
  return location.origin + location.pathname;
}

function random() {
  return base64(crypto.getRandomValues(new Uint8Array(32)));
}

function base64(array) {
  return btoa(String.fromCharCode(...array)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
