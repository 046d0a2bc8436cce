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
let held = false; // another answer was saved elsewhere: nothing is sent until the rater says which one holds
const offered = document.getElementById("offer");
let offer = null; // what to do when the rater takes the choice that was made here

// --- what was not sent yet: under a name that is not the link, with the time of the saved answer that it would replace ---
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
  return { spent: seconds(), began: form.elements.namedItem("began").value, at: say.savedAt, answer: Object.fromEntries(pairs) };
}

function tell(words, bad = false) {
  state.textContent = words;
  state.classList.toggle("bad", bad);
}

// The fields of a draft, with its values.
function fields(draft) {
  const named = Object.entries(draft.answer).filter(([name]) => name !== "form" && name !== "began");
  return named.map(([name, value]) => [form.elements.namedItem(name), value]).filter(([field]) => field);
}

// A draft goes on with the visit in which it was made, so that its time is not counted twice.
function fill(draft) {
  for (const [field, value] of fields(draft)) field.value = value;
  if (Number.isFinite(draft.spent)) spent += draft.spent * 1000;
  if (/^\d{1,18}$/.test(draft.began)) form.elements.namedItem("began").value = draft.began;
  if (form.elements.namedItem("note").value) form.querySelector("details").open = true;
  touched(CALM.change);
  tell(say.restored);
}

// A draft is saved without a click only over the answer over which it was made: a newer one may be a change of mind.
function restore() {
  const draft = drafts.read();
  if (!draft || typeof draft.answer !== "object" || draft.answer === null) return;
  if ((draft.at ?? "") === say.savedAt) fill(draft);
  else if (fields(draft).every(([field, value]) => field.value === value)) drafts.drop(); // it was saved, unheard
  else ask(() => fill(draft));
}

function ask(take) {
  offer = take;
  offered.hidden = false;
}

document.getElementById("take").addEventListener("click", () => offer?.());
document.getElementById("leave").addEventListener("click", () => {
  drafts.drop();
  changed = false;
  location.replace(form.action); // with the answer that stands
});

// --- saving ---
const complete = () => criteria.every((one) => one.querySelector("input:checked"));
// To correct is chosen before the text is changed; that is no answer yet.
const sensible = () => !box || form.elements.namedItem("verdict").value !== "correct" || !("fresh" in box.dataset && box.value === box.defaultValue);

function later(calm) {
  clearTimeout(timer);
  timer = setTimeout(() => { if (going || (changed && complete() && sensible())) save(); }, calm);
}

async function send() {
  if (held) return false;
  const body = new URLSearchParams(new FormData(form));
  body.set("stay", "1");
  body.set("seconds", seconds().toFixed(1));
  body.set("saved_at", say.savedAt);
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
  if (answer.headers.has("Saved-At")) say.savedAt = answer.headers.get("Saved-At");
  if (answer.status === 204) {
    if (mine !== count) {
      drafts.write(values()); // over what is saved now
      return false;
    }
    changed = false;
    if (!offer) drafts.drop();
    tell(say.saved);
    if (going) location.assign(practice ? form.action : say.next);
    return true;
  }
  if (answer.status !== 429 && answer.status < 500) going = false;
  if (answer.status === 409) {
    held = true;
    tell("");
    ask(() => touched(0));
  } else if (answer.status === 422) tell(await answer.text(), true);
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
  going = held = false;
  offer = null;
  offered.hidden = true;
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
  if (held) return document.getElementById("take").focus();
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
