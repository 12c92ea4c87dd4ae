"""The site as a reader meets it: built from a small project and from this one, then opened in a headless browser."""
import base64, json, os, re, shutil, struct, subprocess, sys, threading, zlib
from pathlib import Path

import pytest

from diffrep_nb.tools.site import SiteError, build, check_sidebar, check_site, description, read_cells, serve, sidebar, taxonomy

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"


def png(width=240, height=120):
    """Returns a PNG with a slope of gray."""
    rows = b"".join(b"\0" + bytes(255 * x // width for x in range(width)) for _ in range(height))
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def markdown(text): return dict(cell_type="markdown", metadata={}, source=text)


def code(text, *outputs, tags=()):
    return dict(cell_type="code", metadata=dict(tags=list(tags)), source=text, outputs=list(outputs), execution_count=None)


def shown(**data): return dict(output_type="display_data", metadata={}, data={k.replace("_", "/"): v for k, v in data.items()})


def printed(text): return dict(output_type="stream", name="stdout", text=text)


DATA = base64.b64encode(png()).decode()
PICTURE = f'<figure><img src="data:image/png;base64,{DATA}" alt="A slope of gray" width="240"/><figcaption>seed 0</figcaption></figure>'
MIXTURE = '''#| export
def mixture(
    x0,                  # (B, C) data
    eps,                 # (B, C) noise
    t: float = 0.5,      # time in [0, 1]
) -> list:  # like x0
    "Returns data and noise mixed, `x_t` (Ho et al. 2020, eq. 4)"
    return [a * (1 - t) + b * t for a, b in zip(x0, eps)]'''
FIRST = [
    markdown("# 1 Quokka mixtures\n> A page with one of everything.\n\nText that shares the title's cell."),
    code("#| default_exp small.first"), code("import os"), code("profile = 'quick'", tags=["parameters"]),
    markdown("## Noise\n\nInline $x_t = \\alpha_t x_0 + \\sigma_t \\varepsilon$ after [@ho2020ddpm, eq. 4] and [@song2021ddim].\n\n"
             "$$ \\tilde\\mu_t = \\frac{\\sqrt{\\alpha_t}(1-\\bar\\alpha_{t-1})}{1-\\bar\\alpha_t} x_t + "
             "\\frac{\\sqrt{\\bar\\alpha_{t-1}}\\,\\beta_t}"
             "{1-\\bar\\alpha_t} x_0 + \\sum_{i=1}^{n} \\int_0^1 \\left( a_i + b_i + c_i + d_i + e_i + f_i + g_i \\right) dt $$\n\n"
             "In a line of text $x_u = \\alpha_u m + \\sqrt{(\\alpha_u^2 c + \\sigma_u^2) / (\\alpha_t^2 c + \\sigma_t^2)} "
             "(x_t - \\alpha_t m) + \\varepsilon$. "
             "The zyzzyva beetle is a word to search for. `mixture` is defined below; "
             "[the end](../02_b/01_last.ipynb#a-table) is elsewhere."),
    code(MIXTURE), code("mixture([1.], [0.])  # " + "a long line " * 20, printed("[0.5]\n")),
    code("#| echo: false\npicture()", shown(text_html=PICTURE)),
    code("#| hide\nhidden_word_xylograph = 1"),
    code("player()", shown(text_html='<link rel="stylesheet" href="https://example.org/icons.css">'
                                     '<div><input type="range" id="slide"></div>'
                                     '<script>document.getElementById("slide").dataset.ready = "yes";</script>')),
]
LAST = [markdown("# 2 The end\n> Wide things."), markdown("## A table\n\n| " + " | ".join(f"column {i}" for i in range(14)) + " |\n|"
        + "---|" * 14 + "\n| " + " | ".join(f"value{i}value{i}" for i in range(14)) + " |\n\n" + "```bash\nmake test\n```\n\n"
        + "See `small.first.mixture` and a" + "very" * 40 + "long word.")]


@pytest.fixture(scope="session")
def small_project(tmp_path_factory):
    """A small project with the real assets."""
    root = tmp_path_factory.mktemp("project")
    (root / "settings.ini").write_text("[DEFAULT]\nlib_name = diffrep_nb\nlib_path = diffrep_nb\nnbs_path = nbs\ntitle = small\n"
                                       "branch = main\ngit_url = https://example.org/small\ncopyright = nobody\n")
    listed = ["index.ipynb", dict(section="First (1)", contents=["01_a/01_first.ipynb"]),
              dict(section="Second", contents=["02_b/01_last.ipynb"])]
    (root / "_quarto.yml").write_text(json.dumps(dict(website=dict(title="small", sidebar=dict(contents=listed)))))
    shutil.copytree(NBS / "_assets", root / "nbs" / "_assets")
    for name in ("styles.css", "references.bib"): shutil.copy(NBS / name, root / "nbs" / name)
    for source, cells in {"index.ipynb": [markdown("# Small\n> Home."), markdown("[Go](01_a/01_first.ipynb)")],
                          "01_a/01_first.ipynb": FIRST, "02_b/01_last.ipynb": LAST}.items():
        (root / "nbs" / source).parent.mkdir(exist_ok=True)
        (root / "nbs" / source).write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
    return root


@pytest.fixture(scope="session")
def small_site(small_project):
    done = build(small_project)
    assert done["pages"] == 3
    return done["folder"]


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory):
    done = build(ROOT, tmp_path_factory.mktemp("whole") / "site")
    assert done["seconds"] < 120
    return done["folder"]


def rewritten(small_project, tmp_path, text):
    """Returns a copy of the small project with `text` added to its last page."""
    copy = tmp_path / "copy"
    shutil.copytree(small_project, copy, ignore=shutil.ignore_patterns("_site"))
    path = copy / "nbs/02_b/01_last.ipynb"
    book = json.loads(path.read_text())
    book["cells"].append(markdown(text))
    path.write_text(json.dumps(book))
    return copy


# ---- without a browser

def test_pages_hold_what_the_notebooks_hold(small_site):
    page = (small_site / "01_a/first.html").read_text()
    for part in ("Text that shares the title", '<math display="block"', 'href="#ref-ho2020ddpm"', 'id="ref-ho2020ddpm"', 'alt="A slope of',
                 'id="mixture"', "time in [0, 1]", "blob/main", 'href="../02_b/last.html#a-table"', 'rel="next"', "[0.5]"):
        assert part in page, part
    assert "xylograph" not in page and "example.org/icons.css" not in page and "data:image/png" not in page
    assert (small_site / "01_a/first_files/figure-1.png").read_bytes() == png()
    assert 'href="../01_a/first.html#mixture"' in (small_site / "02_b/last.html").read_text()


@pytest.mark.parametrize("text, complaint", [
    ("[x](03_missing.ipynb)", r"02_b/last\.html: dead link 03_missing\.ipynb"), ("[x](#nowhere)", "no such part, #nowhere"),
    ("[@nobody1900]", "nobody1900"), (r"$\frac{a$", r"01_last\.ipynb: .*frac"), ('<img src="data:," alt="">', "no alt text"),
    ('<script src="https://example.org/a.js"></script>', "from another host")])
def test_what_a_reader_would_stumble_over_stops_the_build(small_project, tmp_path, text, complaint):
    with pytest.raises(SiteError, match=complaint): build(rewritten(small_project, tmp_path, text), search=False)


def test_a_notebook_outside_the_sidebar_stops_the_build(small_project, tmp_path):
    copy = rewritten(small_project, tmp_path, "text")
    shutil.copy(copy / "nbs/02_b/01_last.ipynb", copy / "nbs/02_b/02_more.ipynb")
    (copy / "nbs/01_a/01_first.ipynb").unlink()
    with pytest.raises(SiteError) as error: build(copy, search=False)
    assert "02_more.ipynb is not in the sidebar" in str(error.value) and "01_first.ipynb, which is not in nbs/" in str(error.value)


def test_the_quarto_renderer_takes_nbdevs_steps(small_project, tmp_path):
    """A stand-in for Quarto shows what it would be given: processed notebooks in `_proc`, and README.md left alone."""
    copy = rewritten(small_project, tmp_path, "text")
    extra = "skip_procs = FrontmatterProc\nprocs = diffrep_nb.tools.site:TitleCell\n"
    settings = (ROOT / "settings.ini").read_text(encoding="utf-8")
    (copy / "settings.ini").write_text(settings if "TitleCell" in settings else settings + "\n" + extra, encoding="utf-8")
    (copy / "README.md").write_text("by hand")
    os.utime(copy / "README.md", (0, 0))
    (copy / "nbs/_quarto.yml").symlink_to("../_quarto.yml")
    tool = tmp_path / "bin" / "quarto"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n[ \"$1\" = render ] && mkdir -p _docs && cp index.ipynb _docs/index.html || echo 1.0\n")
    tool.chmod(0o755)
    path = {**os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    path.pop("DIFFREP_HOME", None)
    command = [sys.executable, "-c", "import sys; from diffrep_nb.tools.site import main; sys.exit(main([]))"]
    done = subprocess.run(command, cwd=copy, env=path, capture_output=True, text=True)
    assert done.returncode == 0 and "quarto 1.0: 1 pages" in done.stdout, done.stdout + done.stderr
    assert (copy / "README.md").read_text() == "by hand" and (copy / "_proc/_quarto.yml").is_file()
    cells = read_cells(copy / "_proc/01_a/01_first.ipynb")
    sources = [c["source"] for c in cells]
    assert "title: 1 Quokka mixtures" in sources[0] and any(s.startswith("Text that shares the title") for s in sources)
    assert any("show_doc(mixture)" in s for s in sources) and not any("xylograph" in s for s in sources)


def test_the_sidebar_and_the_notebooks_agree():
    assert check_sidebar(ROOT) == []
    assert (NBS / "_quarto.yml").is_symlink() and (NBS / "_quarto.yml").resolve() == ROOT / "_quarto.yml"
    assert description(ROOT)["project"]["output-dir"] == "_docs"


def test_every_citation_has_a_source():
    keys = re.findall(r"^@\w+\{([^,]+),", (NBS / "references.bib").read_text(encoding="utf-8"), re.M)
    assert len(keys) == len(set(keys))
    for entry in sidebar(ROOT):
        if not (NBS / entry.source).is_file(): continue  # named by the test above
        prose = "\n".join(c["source"] for c in read_cells(NBS / entry.source) if c["cell_type"] == "markdown")
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", prose, flags=re.S)
        missing = set(re.findall(r"(?<![\w.])@([a-z]+\d{4}\w*)", prose)) - set(keys)
        assert not missing, f"{entry.source}: {missing}"


def test_the_taxonomy_names_chapters_of_the_sidebar():
    data, sources = taxonomy(ROOT), {entry.source for entry in sidebar(ROOT)}
    assert len({row["id"] for row in data["methods"]}) == len(data["methods"])
    assert all(row["section"] in data["sections"] for row in data["methods"])
    assert {row["chapter"] for row in data["methods"] if row["chapter"]} <= sources
    ledger = ROOT / "data/results/claims.jsonl"
    ids = {json.loads(line)["id"].split("/")[0] for line in ledger.read_text().splitlines()} if ledger.exists() else set()
    assert ids <= {row["id"] for row in data["methods"]}, "the ledger has claims of methods that nbs/taxonomy.json does not name"


# ---- with a browser



class Reader:
    """A browser tab that remembers everything that went wrong."""
    def __init__(self, chromium, folder, width=1280, **options):
        self.server = serve(folder, 0)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base, self.wrong = f"http://127.0.0.1:{self.server.server_address[1]}/", []
        self.context = chromium.new_context(viewport=dict(width=width, height=900), **options)
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self.wrong.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        left = "net::ERR_ABORTED"  # the reader turned the page while a picture was on its way
        self.page.on("requestfailed", lambda r: None if r.failure == left else self.wrong.append(f"failed: {r.url} {r.failure}"))
        self.page.on("response", lambda r: self.wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        inside = (self.base, "data:", "blob:")
        self.page.on("request", lambda r: None if r.url.startswith(inside) else self.wrong.append(f"outside: {r.url}"))

    def go(self, target):
        self.page.goto(self.base + target, wait_until="load")
        return self.page

    def close(self):
        self.context.close()
        self.server.shutdown()
        self.server.server_close()
        assert not self.wrong, "\n".join(self.wrong)


@pytest.fixture
def reader(chromium, small_site):
    reader = Reader(chromium, small_site, color_scheme="light")
    yield reader
    reader.close()


@pytest.mark.browser
def test_navigation(reader):
    page = reader.go("index.html")
    page.click("#sidebar >> text=1 Quokka mixtures")
    assert page.url.endswith("01_a/first.html") and page.inner_text("h1") == "1 Quokka mixtures"
    assert page.get_attribute('#sidebar [aria-current="page"]', "href") == "first.html"
    page.click('.neighbours [rel="next"]')
    assert page.inner_text("h1") == "2 The end"
    page.click('.neighbours [rel="prev"]')
    page.click(".toc >> text=Noise")
    assert page.url.endswith("#noise")
    page.wait_for_function("document.querySelector('.toc a.here')?.hash === '#noise'")
    page.click('.text a[href$="last.html#a-table"]')
    assert page.url.endswith("02_b/last.html#a-table")


@pytest.mark.browser
def test_figures_mathematics_and_citations(reader):
    page = reader.go("01_a/first.html")
    page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.evaluate("[...document.images].every(i => i.alt.split(' ').length > 1)")
    sizes = page.evaluate("[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect()).map(r => [r.width, r.height])")
    assert len(sizes) == 3 and all(w > 20 and h > 10 for w, h in sizes), sizes
    assert page.evaluate("document.querySelector('math mfrac').getBoundingClientRect().height") > 25, "a fraction stands on two levels"
    page.click('.citation a[href="#ref-ho2020ddpm"]')
    assert page.url.endswith("#ref-ho2020ddpm") and "Denoising Diffusion Probabilistic Models" in page.inner_text("#ref-ho2020ddpm")
    page.wait_for_function("document.querySelector('#ref-ho2020ddpm').getBoundingClientRect().top < innerHeight")
    assert page.get_attribute("#slide", "data-ready") == "yes", "a pre-rendered player runs"


@pytest.mark.browser
def test_code_is_folded_coloured_and_copied(reader):
    reader.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = reader.go("01_a/first.html")
    fold = page.locator("details.source")
    assert not fold.locator("pre").is_visible()
    fold.locator("summary").click()
    assert fold.locator("pre").is_visible()
    colours = page.evaluate("[...document.querySelectorAll('.source .k, .source .c1')].map(e => getComputedStyle(e).color)")
    assert len(set(colours)) == 2, "key words and comments differ"
    fold.hover()
    fold.locator(".copy").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def mixture(")
    page.click("#sources-button")
    assert page.locator("details.imports pre").is_visible()
    page.reload()
    assert page.locator("details.imports pre").is_visible(), "the choice is kept"


@pytest.mark.browser
def test_search_finds_a_word_and_opens_its_page(reader):
    page = reader.go("02_b/last.html")
    page.keyboard.press("/")
    page.fill("#search-input", "zyzzyva")
    page.wait_for_selector("#search-results a")
    assert "Quokka" in page.inner_text("#search-results") and page.locator("#search-results mark").count() > 0
    page.keyboard.press("Enter")
    page.wait_for_url("**/01_a/first.html*")
    page.click("#search-button")
    page.fill("#search-input", "xylograph")
    page.wait_for_function("document.querySelector('#search-status').textContent === 'Nothing found'")
    page.keyboard.press("Escape")
    assert not page.locator("#search").is_visible()


def brightness(page):
    """Returns how bright paper and ink are, 0 to 255."""
    colour = "getComputedStyle(document.body)[k].match(/[0-9]+/g).slice(0, 3).map(Number)"
    rgb = page.evaluate(f"['backgroundColor', 'color'].map(k => {colour})")
    return [sum(c) / 3 for c in rgb]


@pytest.mark.browser
def test_dark_mode_toggles_and_persists(reader, chromium, small_site):
    page = reader.go("index.html")
    paper, ink = brightness(page)
    assert paper > 230 and ink < 80
    page.click("#theme-button")
    paper, ink = brightness(page)
    assert paper < 60 and ink > 180
    page = reader.go("01_a/first.html")
    assert brightness(page)[0] < 60, "kept on the next page"
    page.click("#theme-button")
    page.reload()
    assert brightness(page)[0] > 230, "kept after a reload"
    night = Reader(chromium, small_site, color_scheme="dark")
    assert brightness(night.go("index.html"))[0] < 60, "the system's choice counts until the reader chooses"
    night.close()


WIDE = """() => [document.documentElement.scrollWidth, innerWidth, ...[...document.querySelectorAll('main *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, pre, .formula, .formula-inline, .output-html'))
  .map(e => e.outerHTML.slice(0, 90)).slice(0, 3)]"""


def assert_fits(page, target):
    width, room, *outside = page.evaluate(WIDE)
    assert width <= room and not outside, f"{target}: {width} px on a screen of {room}: {outside}"


@pytest.mark.browser
def test_a_phone_shows_every_page(chromium, small_site):
    phone = Reader(chromium, small_site, width=400)
    for target in ("index.html", "01_a/first.html", "02_b/last.html"): assert_fits(phone.go(target), target)
    page = phone.page
    table = page.evaluate("(() => { const s = document.querySelector('.text .scroll'); return [s.scrollWidth, s.clientWidth]; })()")
    assert table[0] > table[1] + 50, "the table scrolls in its own box"
    assert not page.locator("#sidebar").is_visible()
    page.click("#menu-button")
    page.click("#sidebar >> text=First (1)")
    page.click("#sidebar >> text=1 Quokka mixtures")
    assert page.url.endswith("first.html")
    page.click(".toc-small summary")
    page.click(".toc-small >> text=Noise")
    assert page.url.endswith("#noise")
    phone.close()


@pytest.mark.browser
def test_this_project_from_the_first_page_to_the_last(chromium, whole_site):
    assert check_site(whole_site) == []
    targets = [entry.target for entry in sidebar(ROOT)]
    desk = Reader(chromium, whole_site)
    page, seen = desk.go("index.html"), ["index.html"]
    while page.locator('.neighbours [rel="next"]').count():
        page.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
        page.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        visible = "[...document.querySelectorAll('math')].filter(m => !m.closest('details:not([open])'))"
        assert page.evaluate(f"{visible}.every(m => m.getBoundingClientRect().height > 3)")
        page.click('.neighbours [rel="next"]')
        page.wait_for_load_state("load")
        seen.append(page.url.removeprefix(desk.base))
    assert seen == targets
    desk.close()
    phone = Reader(chromium, whole_site, width=400)
    for target in targets: assert_fits(phone.go(target), target)
    phone.close()


@pytest.mark.browser
def test_frames_move_under_their_slider(chromium, whole_site):
    pages = [e.target for e in sidebar(ROOT) if 'aria-label="frame"' in (whole_site / e.target).read_text()]
    assert any("classifier_free" in p for p in pages), "the chapter on classifier-free guidance shows its scales under a slider"
    desk = Reader(chromium, whole_site)
    for target in pages:
        page = desk.go(target)
        for player in page.locator('figure:has(input[aria-label="frame"])').all():
            slider, image = player.locator('input[aria-label="frame"]'), player.locator("img")
            before = image.get_attribute("src"), slider.input_value()
            slider.press("End")
            assert slider.input_value() == slider.get_attribute("max") != before[1], target
            page.wait_for_timeout(50)
            assert image.get_attribute("src") != before[0] and image.evaluate("i => i.naturalWidth > 0"), f"{target}: the picture stays"
            slider.press("Home")
            page.wait_for_timeout(50)
            assert image.get_attribute("src") == before[0], f"{target}: the first picture does not come back"
    desk.close()
