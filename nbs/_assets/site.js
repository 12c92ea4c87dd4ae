"use strict";
(() => {
  const root = document.body.dataset.root, page = document.documentElement;
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const keep = (name, value) => { try { localStorage.setItem("diffrep-" + name, value); } catch (e) { /* private window */ } };
  const kept = (name) => { try { return localStorage.getItem("diffrep-" + name); } catch (e) { return null; } };

  // Light and dark: the reader's system decides until the reader does.
  const themeButton = one("#theme-button");
  const paint = (theme) => { page.dataset.theme = theme; themeButton.setAttribute("aria-pressed", theme === "dark"); };
  paint(page.dataset.theme);
  themeButton.addEventListener("click", () => {
    const theme = page.dataset.theme === "dark" ? "light" : "dark";
    keep("theme", theme);
    paint(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (e) => { if (!kept("theme")) paint(e.matches ? "dark" : "light"); });

  // The chapter list on narrow screens.
  const menu = one("#menu-button");
  const openMenu = (open) => { document.body.classList.toggle("menu-open", open); menu.setAttribute("aria-expanded", open); };
  menu.addEventListener("click", () => openMenu(!document.body.classList.contains("menu-open")));
  one("#main").addEventListener("click", () => openMenu(false));
  const current = one('#sidebar [aria-current="page"]'), side = one("#sidebar");
  if (current && current.offsetTop > side.clientHeight - 80) side.scrollTop = current.offsetTop - side.clientHeight / 2;

  // Copyable code.
  const copy = async (text) => {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  for (const box of all(".code")) {
    const button = document.createElement("button");
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try { await copy(one("pre", box).innerText); button.textContent = "Copied"; }
      catch (e) { button.textContent = "Not allowed"; }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }

  // Folded sources, opened all at once for those who read code first.
  const folds = all("details.fold"), sources = one("#sources-button");
  const showSources = (open) => {
    for (const fold of folds) fold.open = open;
    sources.textContent = open ? "Hide all sources" : "Show all sources";
    sources.setAttribute("aria-pressed", open);
  };
  if (!folds.length) sources.hidden = true;
  else if (kept("sources") === "open") showSources(true);
  sources.addEventListener("click", () => {
    const open = sources.getAttribute("aria-pressed") !== "true";
    keep("sources", open ? "open" : "closed");
    showSources(open);
  });
  const unfold = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = target && target.closest("details");
    if (fold) { fold.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", unfold);
  unfold();

  // Where the reader is.
  const links = new Map(all(".toc a").map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
  const heads = all(".text h2[id], .text h3[id]").filter((h) => links.has(h.id));
  let waiting = false;
  const mark = () => {
    waiting = false;
    let here = null;
    for (const head of heads) { if (head.getBoundingClientRect().top < 130) here = head; else break; }
    for (const [id, a] of links) a.classList.toggle("here", Boolean(here) && id === here.id);
    const active = one(".toc a.here"), box = one(".toc");
    if (active && (active.offsetTop < box.scrollTop || active.offsetTop > box.scrollTop + box.clientHeight - 60)) box.scrollTop = active.offsetTop - 120;
  };
  addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } }, { passive: true });
  mark();

  // Search: the index is loaded when it is first asked for.
  const dialog = one("#search"), input = one("#search-input"), status = one("#search-status"), results = one("#search-results");
  let engine = null, turn = 0;
  const load = () => {
    const address = new URL(root + "pagefind/pagefind.js", location.href).href;
    engine ||= import(address).then(async (found) => { await found.init(); return found; });
    return engine;
  };
  const openSearch = () => {
    dialog.showModal();
    input.select();
    load().catch(() => { status.textContent = "The search index needs a web server: run diffrep docs --serve."; });
  };
  one("#search-button").addEventListener("click", openSearch);
  addEventListener("keydown", (e) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
    if ((e.key === "/" && !typing) || (e.key === "k" && (e.ctrlKey || e.metaKey))) { e.preventDefault(); openSearch(); }
  });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  const line = (address, title, excerpt, sub) => {
    const item = document.createElement("li"), link = document.createElement("a"), text = document.createElement("p");
    if (sub) item.className = "sub";
    link.href = root + address.replace(/^\//, "");
    link.textContent = title;
    link.addEventListener("click", () => dialog.close());
    text.innerHTML = excerpt;
    item.append(link, text);
    return item;
  };
  const find = async () => {
    const mine = ++turn, words = input.value.trim();
    if (!words) { results.replaceChildren(); status.textContent = ""; return; }
    let found;
    try { found = await (await load()).search(words); } catch (e) { return; }
    const pages = await Promise.all(found.results.slice(0, 8).map((r) => r.data()));
    if (mine !== turn) return;
    const items = [];
    for (const data of pages) {
      const parts = data.sub_results.filter((p) => (p.raw_url || p.url).includes("#")).slice(0, 3);
      items.push(line(data.raw_url || data.url, data.meta.title, parts.length ? "" : data.excerpt, false));
      for (const part of parts) {
        items.push(line(part.raw_url || part.url, part.title, part.excerpt, true));
      }
    }
    results.replaceChildren(...items);
    status.textContent = found.results.length ? `${found.results.length} page${found.results.length > 1 ? "s" : ""}` : "Nothing found";
  };
  let timer;
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(find, 120); });
  input.addEventListener("keydown", (e) => {
    if (e.key === "Enter") { e.preventDefault(); const first = one("a", results); if (first) first.click(); }
    if (e.key === "ArrowDown") { e.preventDefault(); const first = one("a", results); if (first) first.focus(); }
    if (e.key === "Escape") { e.preventDefault(); dialog.close(); }
  });
  results.addEventListener("keydown", (e) => {
    const links = all("a", results), i = links.indexOf(document.activeElement);
    if (e.key === "ArrowDown" && links[i + 1]) { e.preventDefault(); links[i + 1].focus(); }
    if (e.key === "ArrowUp") { e.preventDefault(); (links[i - 1] || input).focus(); }
  });
})();
