"""The `diffrep` command from the outside: what it refuses, what it detects, what it remembers and saves."""
import json
import os
import signal
import sys
import time

import pytest

good = "print('rate is', rate + seed)"


@pytest.mark.parametrize("words, said", [
    (["-p", "sede", "1"], "has no parameter sede; did you mean seed?"),
    (["-p", "seed", "one"], "seed = 'one' is not like its default 0 (int)"),
    (["-p", "seed", "1.5"], "is not like its default 0 (int)"),
    (["-p", "rate", "[0.1]"], "is not like its default 0.1 (float)"),
    (["-p", "rate", "2"], "outside (0, 1]"),
    (["-p", "seed", "101"], "outside [0, 100]"),
    (["-p", "profile", "fast"], "outside {quick, cpu, gpu}"),
    (["-p", "seed", "1", "-p", "seed", "2"], "given twice"),
    (["--save", "--profile", "quick"], "--save keeps the evidence"),
])
def test_a_wrong_request_ends_before_any_kernel_starts(project, words, said):
    project.write("21_a/01_good", good)
    done = project.diffrep("run", "good", *words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (project.root / "_runs").exists()


def test_an_unknown_chapter_is_answered_with_the_nearest(project):
    project.write("21_a/01_good", good)
    done = project.diffrep("run", "goood")
    assert done.returncode == 2 and "did you mean good?" in done.stderr


def test_no_project_is_a_clear_error(project, tmp_path):
    (project.root / "settings.ini").unlink()
    done = project.diffrep("run")
    assert done.returncode == 2 and "set DIFFREP_HOME" in done.stderr and "Traceback" not in done.stderr


def test_home_may_be_elsewhere(project, tmp_path_factory):
    project.write("21_a/01_good", good)
    done = project.diffrep("run", cwd=tmp_path_factory.mktemp("elsewhere"), DIFFREP_HOME=str(project.root))
    assert done.returncode == 0 and project.result("21_a/01_good")["ok"]


def test_every_way_to_end_early_is_a_failure_and_the_others_go_on(project):
    project.write("21_a/01_exits", "import sys\nsys.exit(0)", "1")
    project.write("21_a/02_killed", "import os\nos.kill(os.getpid(), 9)", "1")
    project.write("21_a/03_vanishes", "import os\nos._exit(0)", "1")
    project.write("21_a/04_quits", "exit()", "import time\ntime.sleep(2)\nprint('after')")
    project.write("21_a/05_raises", "x = {}\nx['missing key']", "1")
    project.write("21_a/06_last_cell_exits", "raise SystemExit")
    project.write("21_a/07_good", good)
    done = project.diffrep("run")
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1] == "1 passed, 6 failed"
    assert "    | x['missing key']" in done.stdout and "KeyError: 'missing key'" in done.stdout
    assert "    | os.kill(os.getpid(), 9)" in done.stdout and "DeadKernelError" in done.stdout
    assert "    | sys.exit(0)" in done.stdout and "SystemExit" in done.stdout
    for name in ("01_exits", "02_killed", "03_vanishes", "05_raises", "06_last_cell_exits"):
        result = project.result(f"21_a/{name}")
        assert not result["ok"] and result["fault"]["cell"] == 1, name
    assert project.result("21_a/07_good")["ok"] and "rate is 0.1" in project.shown("21_a/07_good")


def test_a_result_says_how_it_was_made(project):
    project.write("21_a/01_good", good, "import os\nprint(os.environ['OMP_NUM_THREADS'], os.getcwd())")
    assert project.diffrep("run", "-p", "seed", "3", "--profile", "cpu").returncode == 0
    [path] = (project.root / "_runs/cpu/21_a").glob("*.json")
    result = json.loads(path.read_text())
    assert result["values"] == {"profile": "cpu", "seed": 3} and result["threads"] == 1 and result["seconds"] > 0
    assert {"python", "torch", "papermill"} <= set(result["versions"]) and {"processor", "cores", "gpus"} <= set(result["hardware"])
    shown = project.shown(f"21_a/{path.stem}", "cpu")
    assert "rate is 3.1" in shown and f"1 {project.root / 'nbs/21_a'}" in shown


def test_what_succeeded_is_remembered_until_something_changes(project):
    (project.root / "data/zoo").mkdir(parents=True)
    weight = project.root / "data/zoo/toy-net.safetensors"
    weight.write_bytes(b"one")
    path = project.write("21_a/01_good", good, "name = 'toy-net'")
    assert "cached" not in project.diffrep("run").stdout
    began = time.time()
    assert "cached" in project.diffrep("run").stdout and time.time() - began < 3
    path.write_text(path.read_text().replace("name = 'toy-net'", "name = 'toy-net'  # a remark"))
    assert "cached" in project.diffrep("run").stdout
    assert "cached" not in project.diffrep("run", "--force").stdout
    assert "cached" not in project.diffrep("run", "-p", "seed", "5").stdout
    weight.write_bytes(b"two")
    assert "cached" not in project.diffrep("run").stdout
    path.write_text(path.read_text().replace("'rate is'", "'the rate is'"))
    assert "cached" not in project.diffrep("run").stdout
    project.write("21_a/01_good", "1 / 0")
    assert project.diffrep("run").returncode == 1
    assert "cached" not in project.diffrep("run").stdout


def test_dry_is_seen_by_the_chapter(project):
    project.write("21_a/01_plans", "import os\nprint(profile, 2 if os.environ.get('DIFFREP_DRY') else 1000, 'steps')")
    assert project.diffrep("run", "--dry").returncode == 0
    assert project.shown("21_a/01_plans", "dry") == "gpu 2 steps\n"


def test_a_time_limit_ends_the_chapter_and_its_kernel(project):
    project.write("21_a/01_slow", "import os, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nimport time\ntime.sleep(100)")
    done = project.diffrep("run", "--timeout", "8")
    assert done.returncode == 1 and "not finished after 8 s" in done.stdout
    kernel = int((project.root / "nbs/21_a/pid").read_text())
    assert _gone(kernel)


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_kernel_behind(project, word):
    project.write("21_a/01_slow", "import os, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nimport time\ntime.sleep(100)")
    running, mark = project.start("run"), project.root / "nbs/21_a/pid"
    until = time.time() + 60
    while not (mark.exists() and mark.read_text()) and time.time() < until: time.sleep(0.1)
    running.send_signal(word)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 130 and "interrupted" in out
    assert _gone(int(mark.read_text()))


def _gone(pid, seconds=10):
    import psutil
    until = time.time() + seconds
    while time.time() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE: return True
        time.sleep(0.1)
    return False


def test_a_port_taken_at_the_start_of_a_kernel_is_tried_again(project):
    """A kernel whose first start ends as when another process took its port."""
    shim, mark = project.root / "shim.py", project.root / "started"
    shim.write_text(f"""import os, sys
if not os.path.exists({str(mark)!r}):
    open({str(mark)!r}, 'w').close()
    sys.exit("zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:1')")
os.execv({sys.executable!r}, [{sys.executable!r}, '-m', 'ipykernel_launcher', *sys.argv[1:]])
""")
    folder = project.root / "jupyter/kernels/python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(dict(argv=[sys.executable, str(shim), "-f", "{connection_file}"], display_name="python3", language="python")))
    project.write("21_a/01_good", good)
    done = project.diffrep("run", JUPYTER_PATH=str(project.root / "jupyter"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert mark.exists() and project.result("21_a/01_good")["attempts"] == 2


claims = """from diffrep_nb.core.claims import claim
print('__FOLDER__/nbs')
claim('toy/holds', 'A toy claim', 'value > 1', {0: 2.0 + seed, 1: 2.1, 2: 2.2}, over='sampling', dataset='digits')"""


def test_saving_brings_outputs_home_and_only_saving_writes_the_ledger(project):
    path = project.write("31_a/01_claims", claims.replace("__FOLDER__", str(project.root)))
    ledger = project.root / "data/results/claims.jsonl"
    assert project.diffrep("run", "--profile", "cpu").returncode == 0 and not ledger.exists()
    assert "never saved" in project.diffrep("stale").stdout
    done = project.diffrep("run", "--save")
    assert done.returncode == 0 and "1 claims" in done.stdout, done.stdout + done.stderr
    [row] = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert (row["id"], row["profile"], row["notebook"], row["verdict"]) == ("toy/holds", "cpu", "nbs/31_a/01_claims.ipynb", "reproduced")
    saved = path.read_text()
    cells = json.loads(saved)["cells"]
    assert "".join(cells[0]["outputs"][0]["text"]).startswith("profile cpu · seed 0 · commit ")
    assert len(cells) == 2 and str(project.root) not in json.dumps(cells[1]["outputs"]) and "injected" not in saved
    assert "0 of 1 chapters are stale" in project.diffrep("stale", "--check").stdout
    report = project.diffrep("report").stdout
    assert "`toy/holds`" in report and "**reproduced**" in report and (project.root / "data/results/report.md").read_text() == report
    path.write_text(saved.replace("'A toy claim'", "'Another toy claim'"))
    again = project.diffrep("stale", "--check")
    assert again.returncode == 1 and "code changed" in again.stdout


def test_a_path_of_this_machine_stops_the_save(project):
    somewhere = "/".join(["", "mnt", "disk", "secret"])
    path = project.write("21_a/01_leaks", f"print('read', '{somewhere}')")
    before = path.read_text()
    done = project.diffrep("run", "--save")
    assert done.returncode == 1 and "may not be saved" in done.stdout and path.read_text() == before


def test_a_sweep_runs_the_grid_and_survives_a_dead_kernel(project):
    project.write("21_a/01_grid", "import os\nif seed == 2: os.kill(os.getpid(), 9)", "print(seed, rate, os.environ['OMP_NUM_THREADS'])")
    refused = project.diffrep("sweep", "grid", "-p", "seed", "0,1,500")
    assert refused.returncode == 2 and "outside [0, 100]" in refused.stderr and not (project.root / "_runs").exists()
    done = project.diffrep("sweep", "grid", "-p", "seed", "1,2", "-p", "rate", "0.1,0.5")
    assert done.returncode == 1 and "2 passed, 2 failed" in done.stdout.splitlines()[-1], done.stdout + done.stderr
    table = (project.root / "_runs/sweeps/21_a/01_grid.csv").read_text().splitlines()
    assert len(table) == 5 and table[0].startswith("profile,seed,rate,ok,seconds")
    assert [line.split(",")[3] for line in table[1:]] == ["True", "True", "False", "False"]


def test_the_test_command_fails_when_anything_failed_or_nothing_ran(project):
    assert project.diffrep("test", "--only", "chapters").returncode == 1
    project.write("21_a/01_good", good, "print('SKIPPED PEER somelib')")
    done = project.diffrep("test", "--only", "chapters")
    assert done.returncode == 0 and done.stdout.strip().splitlines()[-1] == "1 passed, 0 failed" and "the sum over 1 chapters" in done.stdout
    strict = project.diffrep("test", "--only", "chapters", "--strict")
    assert strict.returncode == 1 and strict.stdout.strip().splitlines()[-1] == "1 passed, 1 failed"
    slow = project.diffrep("test", "--only", "chapters", "--limit", "0.1")
    assert slow.returncode == 1 and "more than 0 s" in slow.stdout
    none = project.diffrep("test", "--only", "tests")
    assert none.returncode == 1 and none.stdout.strip().splitlines()[-1] == "0 passed, 1 failed"


def test_help_names_every_command(project):
    said = project.diffrep("--help").stdout
    assert all(word in said for word in ("run", "stale", "report", "sweep", "test", "docs", "zoo", "bench"))
