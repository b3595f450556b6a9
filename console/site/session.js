// The token, in memory only: a reload forgets it, and no other page can read it.

let token = "";
const listeners = new Set();

export function bearer() {
  return token;
}

export function use(given) {
  token = given.trim().replace(/^Bearer\s+/i, "");
  for (const each of listeners) each("changed");
}

// The API refused the token, or wants one.
export function refused() {
  for (const each of listeners) each("refused");
}

// Calls listener("changed" or "refused").
export function listen(listener) {
  listeners.add(listener);
}

// When the token expires, as it says itself; null if it does not say.
export function expiry() {
  try {
    const claims = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return Number.isFinite(claims.exp) ? new Date(claims.exp * 1000) : null;
  } catch {
    return null;
  }
}
