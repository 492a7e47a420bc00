// Keeps a page up to date: fetches it again when something happened, and takes over the parts that
// are marked data-live. Without this script each page works, and shows what was when it was loaded.
"use strict";
(() => {
  const LEAST_MS = 700; // between two fetches
  const QUIET_MS = 10000; // without an event: times go on, and devices report
  const POLL_MS = 3000; // where no events come
  const WORDS = { live: "Live", poll: "Up to date every few seconds", lost: "The service is not reached; trying again" };
  const liveness = document.getElementById("liveness");
  let streams = false, waiting = 0, fetching = false, again = false, soon = false, took = 0;

  const say = (word) => {
    if (liveness.textContent !== WORDS[word]) liveness.textContent = WORDS[word];
    liveness.className = word;
  };

  // What a person has begun to type or opened stays as it is.
  const keep = (part) => {
    const active = document.activeElement;
    const fields = [...part.querySelectorAll("input[id], select[id]")].map((one) => [one.id, one.value, one.checked]);
    const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
    const focused = part.contains(active) ? active.id || active.closest("[id]")?.id : "";
    const place = active && active.selectionStart;
    return () => {
      for (const [id, value, checked] of fields) {
        const one = document.getElementById(id);
        if (one) { one.value = value; one.checked = checked; }
      }
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      if (!focused) return;
      const found = document.getElementById(focused);
      const target = found?.matches("details") ? found.querySelector("summary") : found;
      target?.focus();
      if (place != null && target?.setSelectionRange && target.type === "text") target.setSelectionRange(place, place);
    };
  };

  const take = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const its = fresh.getElementById(part.id);
      if (!its || its.innerHTML === seen.get(part.id)) continue;
      seen.set(part.id, its.innerHTML);
      const restore = keep(part);
      part.replaceChildren(...its.childNodes);
      restore();
    }
    document.title = fresh.title;
  };

  const seen = new Map([...document.querySelectorAll("[data-live]")].map((one) => [one.id, one.innerHTML]));

  const refresh = async () => {
    if (document.hidden) { again = true; return; }
    if (fetching) { again = true; return; }
    fetching = true;
    soon = false;
    again = false;
    const begun = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect") { location.reload(); return; } // to where one logs in
      if (answer.ok) { take(await answer.text()); say(streams ? "live" : "poll"); }
    } catch {
      say("lost");
    }
    fetching = false;
    took = performance.now() - begun;
    plan(again ? LEAST_MS : streams ? QUIET_MS : POLL_MS);
  };

  // A service that takes long to answer is asked less often.
  const plan = (ms) => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, Math.max(ms, 4 * took));
  };

  const listen = () => {
    const source = new EventSource(document.body.dataset.stream);
    const happened = () => { if (fetching) again = true; else if (!soon) plan(LEAST_MS); soon = true; };
    source.onopen = () => { streams = true; say("live"); };
    source.onmessage = happened;
    source.onerror = () => {
      streams = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 30000);
    };
  };

  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) refresh(); });
  // What was done is said once, and not again after a reload.
  if (location.search.startsWith("?done=")) history.replaceState(null, "", location.pathname);
  listen();
  plan(POLL_MS);
})();
