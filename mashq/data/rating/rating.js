// The rating page: keys, saving by itself, and what was not saved yet kept here. Without it the form works as a form.
"use strict";
const form = document.getElementById("answer");
const state = document.getElementById("state");
const say = form.dataset;
const practice = "practice" in say;
const criteria = [...form.querySelectorAll("fieldset")];
const box = form.elements.namedItem("text"); // of a check
const AGAIN = 3000; // ms until a failed save is tried again
const CALM = { change: 600, input: 1500 }; // ms without a change before it is saved
let spent = 0; // ms that the page was in sight
let since = document.hidden ? 0 : performance.now();
let timer = 0;
let saving = Promise.resolve(true);
let changed = false; // something here is not on the server
let count = 0; // changes so far
let going = false; // to the next item, once this one is saved

// --- what was not sent yet: under a name that is not the link ---
const drafts = {
  read() { try { return JSON.parse(localStorage.getItem(say.draft)); } catch { return null; } },
  write(values) { try { localStorage.setItem(say.draft, JSON.stringify(values)); } catch { /* full or forbidden: the server has it soon */ } },
  drop() { try { localStorage.removeItem(say.draft); } catch { /* as above */ } },
};

function seconds() {
  return (spent + (since ? performance.now() - since : 0)) / 1000;
}

function values() {
  const pairs = new FormData(form);
  pairs.delete("form");
  pairs.delete("began");
  return { spent: seconds(), answer: Object.fromEntries(pairs) };
}

function tell(words, bad = false) {
  state.textContent = words;
  state.classList.toggle("bad", bad);
}

function restore() {
  const draft = drafts.read();
  if (!draft || typeof draft.answer !== "object" || draft.answer === null) return;
  for (const [name, value] of Object.entries(draft.answer)) {
    const field = form.elements.namedItem(name);
    if (field && name !== "form" && name !== "began") field.value = value;
  }
  if (Number.isFinite(draft.spent)) spent += draft.spent * 1000;
  if (form.elements.namedItem("note").value) form.querySelector("details").open = true;
  changed = true;
  tell(say.restored);
  if (!practice) later(CALM.change);
}

// --- saving ---
const complete = () => criteria.every((one) => one.querySelector("input:checked"));
// To correct is chosen before the text is changed; that is no answer yet.
const sensible = () => !box || form.elements.namedItem("verdict").value !== "correct" || !("fresh" in box.dataset && box.value === box.defaultValue);

function later(calm) {
  clearTimeout(timer);
  timer = setTimeout(() => { if (going || (changed && complete() && sensible())) save(); }, calm);
}

async function send() {
  const body = new URLSearchParams(new FormData(form));
  body.set("stay", "1");
  body.set("seconds", seconds().toFixed(1));
  const mine = count;
  tell(say.saving);
  let answer;
  try {
    answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout?.(15000) });
  } catch {
    tell(say.unsaved, true);
    later(AGAIN);
    return false;
  }
  if (answer.status === 204) {
    if (mine !== count) return false;
    changed = false;
    drafts.drop();
    tell(say.saved);
    if (going) location.assign(practice ? form.action : say.next);
    return true;
  }
  if (answer.status !== 429 && answer.status < 500) going = false;
  if (answer.status === 422) tell(await answer.text(), true);
  else if (answer.status === 404) tell(say.lost, true);
  else if (answer.status === 429 || answer.status >= 500) { tell(answer.status === 429 ? say.slow : say.unsaved, true); later(AGAIN); }
  else tell(say.refused, true);
  return false;
}

// One at a time, in order.
function save() {
  clearTimeout(timer);
  saving = saving.then(send, send);
  return saving;
}

function touched(calm) {
  changed = true;
  going = false;
  count += 1;
  drafts.write(values());
  if (!practice) later(calm);
}

form.addEventListener("change", () => touched(CALM.change));
form.addEventListener("input", (event) => {
  if (event.target === box && box.value !== box.defaultValue) form.querySelector('[name="verdict"][value="correct"]').checked = true;
  touched(event.target.type === "radio" ? CALM.change : CALM.input);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (going && !state.classList.contains("bad")) return; // pressed twice
  going = true;
  save();
});
addEventListener("beforeunload", (event) => { if (state.classList.contains("bad") && changed) event.preventDefault(); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { spent += since ? performance.now() - since : 0; since = 0; } else since = performance.now();
});

// --- keys ---
let at = 0; // the criterion that keys speak of

function mark(place) {
  criteria[at]?.classList.remove("at");
  at = Math.max(0, Math.min(criteria.length - 1, place));
  criteria[at]?.classList.add("at");
}

criteria.forEach((one, place) => one.addEventListener("focusin", () => mark(place)));

function go(place) {
  mark(place);
  const one = criteria[at];
  (one.querySelector("input:checked") || one.querySelector("input")).focus();
  one.scrollIntoView({ block: "nearest" });
}

// Also the digits of Arabic and Persian keyboards.
function digit(key) {
  const code = key.length === 1 ? key.charCodeAt(0) : 0;
  for (const zero of [0x30, 0x660, 0x6f0]) if (code >= zero && code <= zero + 9) return String(code - zero);
  return "";
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.tagName === "TEXTAREA") return;
  const number = digit(event.key);
  const radio = event.target.type === "radio";
  if (number) {
    const choice = criteria[at]?.querySelector(`input[data-key="${number}"]`);
    if (!choice) return;
    event.preventDefault();
    choice.checked = true;
    choice.dispatchEvent(new Event("change", { bubbles: true }));
    if (box && number === "2") return box.focus();
    if (at + 1 < criteria.length) go(at + 1); else choice.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && radio) { // elsewhere they scroll the text
    event.preventDefault();
    go(at + (event.key === "ArrowDown" ? 1 : -1));
  } else if (event.key === "Enter" && (radio || event.target === document.body)) {
    event.preventDefault();
    const told = document.querySelector("#told a");
    if (told && !changed) return told.click();
    const open = criteria.findIndex((one) => !one.querySelector("input:checked"));
    if (open >= 0) go(open); else form.requestSubmit();
  }
});

restore();
mark(Math.max(0, criteria.findIndex((one) => !one.querySelector("input:checked"))));
document.querySelector("#told a")?.focus();
