"""A tiny project of generated notebooks, and the `diffrep` command as a user would call it."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

here = Path(__file__).resolve().parent.parent
interface = 'profile = "quick"  # {quick, cpu, gpu}\nseed = 0  # [0, 100]\nrate = 0.1  # (0, 1]'


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: opens the site in a browser; run by `make e2e`")


class Project:
    """A folder with settings.ini and generated chapters."""

    def __init__(self, root):
        self.root = Path(root)
        shutil.copy(here / "settings.ini", self.root / "settings.ini")

    def write(self, name, *sources, parameters=interface):
        path = self.root / "nbs" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [dict(cell_type="code", id=f"c{i}", source=s, outputs=[], execution_count=None,
                      metadata=dict(tags=["parameters"]) if i == 0 else {}) for i, s in enumerate([parameters, *sources])]
        kernel = dict(kernelspec=dict(name="python3", display_name="python3", language="python"))
        path.write_text(json.dumps(dict(cells=cells, metadata=kernel, nbformat=4, nbformat_minor=5), indent=1))
        return path

    def command(self, *words, **extra):
        return [sys.executable, "-c", "import sys; from diffrep_nb.tools.runs import main; sys.exit(main())", *words]

    def environment(self, **extra):
        left_out = ("IN_TEST", "DIFFREP_HOME", "DIFFREP_DRY", "DIFFREP_DATA", "MPLBACKEND")
        return {**{k: v for k, v in os.environ.items() if k not in left_out}, **extra}

    def diffrep(self, *words, cwd=None, **extra):
        return subprocess.run(self.command(*words), cwd=cwd or self.root, env=self.environment(**extra), capture_output=True, text=True, timeout=300)

    def start(self, *words, **extra):
        return subprocess.Popen(self.command(*words), cwd=self.root, env=self.environment(**extra), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def result(self, name, folder="quick"):
        return json.loads((self.root / "_runs" / folder / f"{name}.json").read_text())

    def shown(self, name, folder="quick"):
        cells = json.loads((self.root / "_runs" / folder / f"{name}.ipynb").read_text())["cells"]
        return "".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="session")
def checkout():
    return here


@pytest.fixture(scope="session")
def chromium():
    """A headless page factory on the system's Chromium: `make e2e` sees to it that there is one."""
    path = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    assert path, "no Chromium on this machine: make e2e installs one"
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                                                                          "--disable-component-update", "--disable-sync"])
        yield browser
        browser.close()
