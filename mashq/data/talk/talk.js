// The chat page: the conversation lives here; replies are text, never markup.
"use strict";
const page = Object.fromEntries(["talk", "form", "text", "system", "send", "stop", "reset", "save"].map((id) => [id, document.getElementById(id)]));
const words = document.body.dataset;
let turns = [];
let writing = null; // the request of the reply that is being written
let asked = 0; // counts conversations: what comes late for an earlier one is not shown

function bubble(role) {
  const turn = document.createElement("article");
  turn.className = `turn ${role}`;
  const who = document.createElement("p");
  who.className = "who";
  who.textContent = role === "user" ? words.you : words.model;
  const said = document.createElement("div");
  said.className = "said";
  said.dir = "auto";
  turn.append(who, said);
  page.talk.append(turn);
  return { said, note: (text) => turn.append(Object.assign(document.createElement("p"), { className: "note", dir: "auto", textContent: text })) };
}

function atWork(yes) {
  page.send.hidden = yes;
  page.stop.hidden = !yes;
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

async function say(text) {
  const mine = asked;
  turns.push({ role: "user", content: text });
  bubble("user").said.textContent = text;
  const reply = bubble("assistant");
  reply.said.scrollIntoView({ block: "end" });
  const above = page.system.value.trim() ? [{ role: "system", content: page.system.value.trim() }] : [];
  writing = new AbortController();
  atWork(true);
  let said = "";
  try {
    const answer = await fetch("say", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ messages: [...above, ...turns] }), signal: writing.signal });
    if (!answer.ok) throw Object.assign(new Error(), { told: answer.status === 409 ? words.busy : (await answer.text()).slice(0, 500) });
    for await (const line of lines(answer.body)) {
      if (mine !== asked) return;
      if (line.error) throw Object.assign(new Error(), { told: line.error });
      if (line.text) { said += line.text; reply.said.textContent = said; reply.said.scrollIntoView({ block: "end" }); }
      if (line.cut) reply.note(words.cut);
    }
  } catch (error) {
    if (mine !== asked) return;
    reply.note(error.name === "AbortError" ? words.stopped : error.told || words.gone);
  } finally {
    if (mine === asked) {
      if (said) turns.push({ role: "assistant", content: said }); else turns.pop();
      writing = null;
      atWork(false);
      page.text.focus();
    }
  }
}

page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = page.text.value.trim();
  if (!text || writing) return;
  page.text.value = "";
  say(text);
});
page.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); page.form.requestSubmit(); }
});
// An empty box runs as the page does; `auto` would make it left to right.
for (const box of [page.text, page.system]) {
  const turn = () => { if (box.value) box.dir = "auto"; else box.removeAttribute("dir"); };
  box.addEventListener("input", turn);
  page.form.addEventListener("submit", () => queueMicrotask(turn));
  turn();
}
page.stop.addEventListener("click", () => writing?.abort());
page.reset.addEventListener("click", () => {
  writing?.abort();
  writing = null;
  asked += 1;
  turns = [];
  page.talk.replaceChildren();
  atWork(false);
  page.text.focus();
});
page.save.addEventListener("click", () => {
  const above = page.system.value.trim() ? [{ role: "system", content: page.system.value.trim() }] : [];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify({ messages: [...above, ...turns] }) + "\n"], { type: "application/json" }));
  link.download = "chat.jsonl";
  link.click();
  URL.revokeObjectURL(link.href);
});
