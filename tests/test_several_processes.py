"""What must hold when several processes work on the same project at once."""
import json
import subprocess
import sys

claims = """from diffrep_nb.core.claims import claim
for i in range(20):
    claim(f'toy-{MARK}/holds-{i}', 'A toy claim', 'value > 1', {0: 2.0, 1: 2.1, 2: 2.2}, over='sampling', dataset='digits')"""


def test_two_runs_write_one_ledger(project):
    for mark in ("a", "b"): project.write(f"31_a/01_{mark}", claims.replace("{MARK}", mark))
    running = [project.start("run", f"31_a/01_{mark}", "--save") for mark in ("a", "b")]
    said = [p.communicate(timeout=200)[0] for p in running]
    assert [p.returncode for p in running] == [0, 0], said
    ledger = project.root / "data/results/claims.jsonl"
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert sorted(r["id"] for r in rows) == sorted(f"toy-{m}/holds-{i}" for m in "ab" for i in range(20))
    assert set(json.loads((project.root / "data/results/saved.json").read_text())) == {"31_a/01_a", "31_a/01_b"}
    assert project.diffrep("run", "31_a/01_a", "--save", "--force").returncode == 0
    assert len(ledger.read_text().splitlines()) == 40


def test_two_commands_run_a_chapter_once(project):
    project.write("21_a/01_counts", "open('count', 'a').write('x')\nimport time\ntime.sleep(2)")
    running = [project.start("run") for _ in range(2)]
    said = [p.communicate(timeout=200)[0] for p in running]
    assert [p.returncode for p in running] == [0, 0], said
    assert (project.root / "nbs/21_a/count").read_text() == "x"
    assert sum("cached" in s for s in said) == 1


def test_the_laws_hold_in_a_copy_and_break_where_they_are_broken(checkout, tmp_path):
    """The law on the import of one method by another, on a module with a name that only its notebook had, and on a pickle."""
    import shutil
    from diffrep_nb.tools.laws import check_laws
    copy = tmp_path / "copy"
    for name in ("nbs", "diffrep_nb"): shutil.copytree(checkout / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    names = ["import law", "bound names", "no pickle"]
    before = check_laws(copy, names)
    module = copy / "diffrep_nb/core/data.py"
    module.write_text(module.read_text() + "\nfrom diffrep_nb.tools.home import home\nimport pickle\ndef f(): return n_of_notebook\n")
    after = check_laws(copy, names)
    assert [len(after[n]) - len(before[n]) for n in names] == [1, 1, 1], after


def test_importing_the_command_is_quick_and_loads_no_torch():
    code = "import sys, diffrep_nb.tools.runs; print(sorted({'torch', 'papermill', 'dask', 'nbdev'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "[]", done.stdout + done.stderr
