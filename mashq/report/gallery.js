// Search and filters of the gallery. What is asked stands in the address (#q=…&task=…), so that it can be sent on.
(() => {
  "use strict";
  const filters = ["task", "variety", "licence", "path"];
  const at = id => document.getElementById(id);
  const numbers = new Intl.NumberFormat("en");

  // As mashq.arabic's profile "search" does: vowel marks, tatweel and unseen marks off, one alef, one ya, one digit.
  const letters = {
    "\u0623": "\u0627", "\u0625": "\u0627", "\u0622": "\u0627", "\u0671": "\u0627", "\u0649": "\u064a",
    "\u0629": "\u0647", "\u0624": "\u0648", "\u0626": "\u064a", "\u06a9": "\u0643", "\u06cc": "\u064a",
    "\u06d2": "\u064a", "\u06be": "\u0647", "\u06c1": "\u0647", "\u06d5": "\u0647", "\u060c": ",", "\u061b": ";",
    "\u061f": "?", "\u00ab": "\"", "\u00bb": "\"", "\u201c": "\"", "\u201d": "\"", "\u2019": "'", "\u2018": "'",
  };
  const digit = mark => String(mark.charCodeAt(0) & 15);
  const fold = text => text.normalize("NFKC").toLowerCase()
    .replace(/[\u0640\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g, "")
    .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, digit)
    .replace(/([\u0620-\u064a])\1\1+/g, "$1$1")
    .replace(/[\u060c\u061b\u061f\u0622-\u0626\u0629\u0649\u0671\u06a9\u06be\u06c1\u06cc\u06d2\u06d5\u00ab\u00bb\u2018\u2019\u201c\u201d]/g, mark => letters[mark] ?? mark)
    .replace(/\s+/g, " ");

  const words = (root, inside) => fold([...root.querySelectorAll(inside)].map(one => one.textContent).join("\n"));
  const datasets = [...document.querySelectorAll("details.dataset")].map(element => ({
    element,
    licences: element.dataset.licences.split(" "),
    templates: [...element.querySelectorAll("details.template")].map(one => ({
      element: one,
      name: one.id.slice(2),
      ...Object.fromEntries(["task", "variety", "path"].map(name => [name, one.dataset[name]])),
    })),
  }));
  // The words are read when they are first asked for: a page that is only opened folds nothing.
  const about = dataset => dataset.words ??= words(dataset.element, ":scope > .about [data-find]");
  const text = template => template.words ??= fold(template.name) + "\n" + words(template.element, "[data-find]");

  const asked = () => Object.fromEntries(["q", ...filters].map(name => [name, at(name).value]));

  function apply() {
    const want = asked();
    const sought = fold(want.q).split(" ").filter(Boolean);
    const active = Object.values(want).some(Boolean);
    let templates = 0, shown = [];
    for (const dataset of datasets) {
      const licensed = !want.licence || dataset.licences.includes(want.licence);
      let here = 0;
      for (const template of dataset.templates) {
        const fits = licensed && ["task", "variety", "path"].every(name => !want[name] || want[name] === template[name])
          && sought.every(word => about(dataset).includes(word) || text(template).includes(word));
        template.element.hidden = !fits;
        here += fits;
      }
      dataset.element.hidden = active && !here;
      if (!dataset.element.hidden) shown.push(dataset);
      templates += here;
    }
    if (active && shown.length <= 5) for (const dataset of shown) dataset.element.open = true;
    const found = at("found"), counts = found.querySelectorAll(".num");
    found.dataset.templates = templates;
    found.dataset.datasets = shown.length;
    counts[0].textContent = numbers.format(templates);
    counts[1].textContent = numbers.format(shown.length);
    at("nothing").hidden = shown.length > 0;
  }

  function remember() {
    const want = Object.entries(asked()).filter(([, value]) => value);
    const hash = new URLSearchParams(want).toString();
    try { history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search); } catch { /* file:// */ }
  }

  // "#q=…&variety=…" is what is asked; "#t/arcd/ask" is a template, "#d/arcd" a data set.
  function recall() {
    const hash = location.hash.slice(1);
    if (/^[dt]\//.test(hash)) {
      let id = hash;
      try { id = decodeURIComponent(hash); } catch { /* not encoded */ }
      const place = at(id);
      for (let one = place; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
      place?.scrollIntoView();
      return;
    }
    const given = new URLSearchParams(hash);
    for (const name of ["q", ...filters]) at(name).value = given.get(name) ?? "";
    apply();
  }

  let waiting;
  const changed = () => { apply(); remember(); };
  at("q").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(changed, 150); });
  for (const name of filters) at(name).addEventListener("change", changed);
  at("clear").addEventListener("click", () => { for (const name of ["q", ...filters]) at(name).value = ""; changed(); });
  at("open").addEventListener("click", () => {
    for (const dataset of datasets) {
      if (dataset.element.hidden) continue;
      dataset.element.open = true;
      for (const template of dataset.templates) template.element.open ||= !template.element.hidden;
    }
  });
  at("close").addEventListener("click", () => {
    for (const one of document.querySelectorAll("details[open]")) one.open = false;
  });
  addEventListener("hashchange", recall);
  if (location.hash) recall(); else apply();
})();
