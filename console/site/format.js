// Numbers, times and languages in the language of the page.
import {LOCALE} from "./words.js";

const dates = new Intl.DateTimeFormat(LOCALE, {dateStyle: "medium", timeStyle: "short"});
const relative = new Intl.RelativeTimeFormat(LOCALE, {numeric: "auto", style: "short"});
const percents = new Intl.NumberFormat(LOCALE, {style: "percent", maximumFractionDigits: 0});
const languages = new Intl.DisplayNames(LOCALE, {type: "language"});
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

export function date(text) {
  return text ? dates.format(new Date(text)) : "";
}

export function percent(share) {
  return percents.format(share);
}

export function bytes(count) {
  let value = Number(count), unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  const format = {style: "unit", unit: UNITS[unit], unitDisplay: "short", maximumFractionDigits: value < 10 ? 1 : 0};
  return new Intl.NumberFormat(LOCALE, format).format(value);
}

// Of a duration as the API writes it ("12.5s"), or of seconds: 1:02:03.
export function clock(duration) {
  const total = Math.round(parseFloat(duration));
  if (!Number.isFinite(total)) return "";
  const parts = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, at) => at ? String(part).padStart(2, "0") : String(part)).join(":");
}

export function remaining(duration) {
  const seconds = parseFloat(duration);
  if (!Number.isFinite(seconds)) return "";
  return seconds < 90 ? relative.format(Math.ceil(seconds), "second") : relative.format(Math.ceil(seconds / 60), "minute");
}

export function language(tag) {
  try {
    return tag ? languages.of(tag) : "";
  } catch {
    return tag;
  }
}
