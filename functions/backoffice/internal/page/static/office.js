// The first page shows what is, as long as somebody looks at it and isn't busy with it.
const every = 10_000;

async function refresh() {
  const shown = document.querySelector("[data-refresh]");
  if (!shown || document.hidden || shown.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-refresh]");
  if (next) shown.replaceWith(next);
}

if (document.querySelector("[data-refresh]")) setInterval(() => refresh().catch(() => {}), every);
