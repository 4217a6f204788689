// The shop works without this file. With it, the basket fills in place, forms
// can't be sent twice by a nervous finger, times are the customer's own, and an
// order's page follows its order.

const announce = (text) => {
  const region = document.querySelector("[data-announce]");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
};

function localTimes(root) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long", timeStyle: "medium" });
  for (const time of root.querySelectorAll("time[data-time]")) {
    time.textContent = format.format(new Date(time.dateTime));
  }
}

// Adds to the basket without leaving the page.
async function add(form) {
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
  if (!response.ok) throw new Error(`basket: ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.querySelector("[data-basket-count]").replaceWith(page.querySelector("[data-basket-count]"));
  announce(document.body.dataset.inBasket.replace("%s", () => form.dataset.add));
  const button = form.querySelector("button");
  const label = button.innerHTML;
  button.textContent = document.body.dataset.added;
  setTimeout(() => { button.innerHTML = label; }, 1600);
}

for (const form of document.querySelectorAll("form[data-add]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    add(form).catch(() => form.submit()); // the page that says what is wrong
  });
}

for (const form of document.querySelectorAll("form[data-basket]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    const button = form.querySelector("button[type=submit]");
    if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
    button.setAttribute("aria-disabled", "true");
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// A page that comes back from the browser's memory has its buttons back, too.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
});

// Follows an order. The events only say that there is news; how it looks is the
// server's business, so the part of the page that can change is fetched anew.
function follow(page) {
  const live = () => page.querySelector("[data-live]");
  const position = () => Number(live().dataset.position);
  let busy = false, again = false;

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.ok) show(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch { /* the stream comes back, and with it the news */ }
    busy = false;
    if (again) { again = false; await refresh(); }
  }

  function show(fresh) {
    const next = fresh.querySelector("[data-live]");
    if (!next || Number(next.dataset.position) < position()) return; // never back
    const before = live().querySelector("[data-heading]").textContent;
    localTimes(next);
    if (next.isEqualNode(live())) return;
    const focused = live().contains(document.activeElement);
    live().replaceWith(next);
    page.querySelector("[data-sky]").dataset.status = fresh.querySelector("[data-sky]").dataset.status;
    const after = live().querySelector("[data-heading]");
    document.title = fresh.title;
    if (focused) document.querySelector("#main").focus({ preventScroll: true });
    if (after.textContent !== before) announce(`${after.textContent}. ${after.nextElementSibling.textContent}`);
  }

  document.documentElement.classList.add("live");
  const source = new EventSource(`${page.dataset.order}&after=${position()}`);
  // What changed between the page's making and the stream's opening is no news
  // to the stream; so it is when the stream has nothing more to tell at all.
  source.onopen = refresh;
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) refresh(); };
  let done = false;
  source.onmessage = (event) => {
    refresh();
    const order = JSON.parse(event.data);
    if (order.status === "shipped") { done = true; source.close(); }
  };
  // Where something in between lets no stream through, the page asks.
  setInterval(() => { if (!done && source.readyState !== EventSource.OPEN) refresh(); }, 5000);
}

document.documentElement.classList.add("enhanced");
localTimes(document);
document.querySelector("[data-focus]")?.focus();
const page = document.querySelector("[data-order]");
if (page && page.querySelector("[data-sky]").dataset.status !== "shipped") follow(page);
