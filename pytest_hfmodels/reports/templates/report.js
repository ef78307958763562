"use strict";
(() => {
  const list = document.getElementById("tests");
  const tests = [...list.children];
  const form = document.getElementById("filter");
  const told = document.getElementById("told");
  const none = document.getElementById("none");
  const fields = ["verdict", "cause", "engine", "find", "sort"];
  const text = new Map(tests.map((test) => [test, test.firstElementChild.textContent.toLowerCase()]));
  const places = new Map(tests.map((test, place) => [test, place]));
  const drift = (test) => (Number(test.dataset.drift ?? -1));
  const names = new Map();
  const name = (test) => {
    if (!names.has(test)) names.set(test, test.querySelector("summary > code").textContent);
    return names.get(test);
  };
  const orders = {
    "": (a, b) => places.get(a) - places.get(b),
    name: (a, b) => (name(a) < name(b) ? -1 : 1),
    drift: (a, b) => drift(b) - drift(a) || places.get(a) - places.get(b),
    time: (a, b) => b.dataset.seconds - a.dataset.seconds,
  };
  let sorted = "";

  // The details of a test are text inside noscript until somebody opens it; what is in there is escaped.
  const build = (test) => {
    const source = test.querySelector(":scope > noscript");
    if (!source) return;
    const details = document.createElement("div");
    details.innerHTML = source.textContent;
    source.replaceWith(details);
  };

  const show = () => {
    const wanted = Object.fromEntries(fields.map((name) => [name, form.elements[name].value]));
    const find = wanted.find.trim().toLowerCase();
    let count = 0;
    for (const test of tests) {
      const { verdict, cause = "", engine } = test.dataset;
      const fits = (!wanted.verdict || verdict === wanted.verdict) && (!wanted.cause || (cause || "none") === wanted.cause)
        && (!wanted.engine || engine === wanted.engine) && (!find || text.get(test).includes(find));
      test.hidden = !fits;
      count += fits;
    }
    if (wanted.sort !== sorted) {
      list.append(...[...tests].sort(orders[wanted.sort] ?? orders[""]));
      sorted = wanted.sort;
    }
    told.value = `${count === tests.length ? "" : `${count} of `}${tests.length} ${tests.length === 1 ? "test" : "tests"}`;
    none.hidden = count > 0;
  };

  const read = () => {
    const fragment = location.hash.slice(1);
    if (fragment && !fragment.includes("=")) { // a link to a part of the page
      const target = document.getElementById(fragment);
      const details = target?.closest("details");
      if (details) {
        details.hidden = false;
        details.open = true;
        target.scrollIntoView();
      }
      return;
    }
    const wanted = new URLSearchParams(fragment);
    for (const name of fields) {
      const field = form.elements[name];
      field.value = wanted.get(name) ?? "";
      if (field.selectedIndex === -1) field.value = "";
    }
    show();
  };

  const write = () => {
    const kept = fields.map((name) => [name, form.elements[name].value]).filter(([, value]) => value);
    history.replaceState(null, "", kept.length ? `#${new URLSearchParams(kept)}` : location.pathname + location.search);
    show();
  };

  const copy = async (button) => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch { // no permission: the reader copies what is selected
      getSelection().selectAllChildren(code);
      button.textContent = document.execCommand("copy") ? "copied" : "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  };

  document.documentElement.classList.add("js");
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".copy");
    if (button) copy(button);
    if (event.target.closest?.(`a[href="${location.hash}"]`)) read(); // the same address again
  });
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", write);
  form.addEventListener("reset", () => setTimeout(write));
  list.addEventListener("toggle", (event) => event.target.parentElement === list && build(event.target), true);
  addEventListener("hashchange", read);
  list.querySelectorAll("details[open]").forEach(build);
  read();
})();
