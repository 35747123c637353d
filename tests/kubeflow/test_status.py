"""What is shown of runs, on answers as KFP 2.17 gives them."""

import json

import pytest
import yaml

from kubeflow.nodes import numbered
from tests.kubeflow.regenerate import GOLDEN
from tests.kubeflow.workflow import WORKFLOW, Step, node_id, pod_name, run

ORDER = [
    *("InteractionGen", "ItemGen", "StatisticsGen", "ImportSchemaGen", "ExampleValidator", "StatisticsGen-items"),
    *("ImportSchemaGen-items", "ExampleValidator-items", "LiveModel", "DriftValidator", "Transform"),
    *(
        "Trainer-retrieval",
        "Trainer-ranking",
        "RecommenderBuilder",
        "Evaluator",
        "InfraValidator",
        "Pusher",
        "Reporter",
    ),
]
FAILED = {"InteractionGen": Step(began=1, minutes=2), "ItemGen": Step((), began=3)} | {
    "StatisticsGen": Step(("FAILED", "FAILED"), began=4, minutes=3)
}
LOG = """I1128 03:04:10.123456       1 launcher_v2.go:90] input ExecutorInput
2026-11-28 03:04:20 INFO root: Starting executor
error: ratings.csv, line 7: no such user
time="2026-11-28T03:04:21" level=info msg="sub-process exited" argo=true
F1128 03:04:21.123456       1 main.go:49] failed to execute component: exit status 2
"""


@pytest.fixture(scope="module")
def spec():
    return next(yaml.safe_load_all(GOLDEN.read_text()))


@pytest.fixture
def status(api, command):
    return lambda *options: command("status", "r-1", f"--host={api.address}", *options)


def rows(printed):
    """The table's lines below its titles, without their blanks."""
    lines = [line.split() for line in printed.splitlines()]
    return [line for line in lines if line and line[0] in ORDER]


def test_argos_ids_go_on_from_those_of_the_parents():
    assert numbered(node_id(f"{WORKFLOW}(0).root(0).Pusher(0).executor"), 12) == node_id(
        f"{WORKFLOW}(0).root(0).Pusher(0).executor(12)"
    )
    assert node_id("") == f"{WORKFLOW}-2166136261" and node_id("foobar") == f"{WORKFLOW}-{0xBF9CF968}"  # FNV's own.


def test_a_run_that_failed(api, status, spec):
    api.runs["r-1"] = [run("FAILED", FAILED, spec)]
    api.record("r-1", {"StatisticsGen": pod_name("StatisticsGen", 1)})
    api.logs[pod_name("StatisticsGen", 1)] = LOG
    done = status()
    assert done.returncode == 1, done.stderr
    shown = rows(done.stdout)
    assert [row[0] for row in shown] == ORDER
    assert shown[:3] == [
        ["InteractionGen", "succeeded", "03:01:00", "2:00", "1"],
        ["ItemGen", "cached"],
        ["StatisticsGen", "failed", "03:04:00", "3:00", "2"],
    ]
    assert shown[3:] == [[name, "skipped"] for name in ORDER[3:]]
    said = done.stdout[done.stdout.index("StatisticsGen: ") :].splitlines()
    assert said[0] == "StatisticsGen: error: ratings.csv, line 7: no such user"
    assert said[1].strip().startswith("kubectl logs --namespace kubeflow --container main")
    assert said[-1] == "failed after 10:00"


def test_without_its_log_there_is_the_command_that_may_show_it(api, command, spec):
    api.has_metadata = False
    api.runs["r-1"] = [run("FAILED", FAILED, spec)]
    done = command("status", "r-1", f"--host={api.address}", "--namespace=shop", "--json")
    (failure,) = json.loads(done.stdout)["failures"]
    end = pod_name("StatisticsGen", 1).rpartition("-")[2]
    pod = f"$(kubectl get pods --namespace shop --output name | grep -- -{end}$)"
    assert failure == {
        "step": "StatisticsGen",
        "line": None,
        "command": f"kubectl logs --namespace shop --container main {pod}",
    }


def test_a_step_whose_driver_failed(api, status, spec):
    detail = {"display_name": "Pusher-driver", "state": "FAILED", "child_tasks": []}
    api.runs["r-1"] = [run("FAILED", {}, spec, run_details={"task_details": [detail]})]
    done = status()
    assert done.returncode == 1, done.stderr
    assert rows(done.stdout)[-2] == ["Pusher", "failed"]
    assert "Pusher: it did not start: KFP's page has its driver's log" in done.stdout


def test_a_run_that_is_under_way(api, status, spec):
    steps = {"InteractionGen": Step(("FAILED", "RUNNING"), began=1, minutes=None), "LiveModel": Step(begun=False)}
    api.runs["r-1"] = [run("RUNNING", steps, spec)]
    done = status("--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    states = {step["name"]: step["state"] for step in shown["steps"]}
    assert {name for name, state in states.items() if state == "running"} == {"InteractionGen", "LiveModel"}
    assert set(states.values()) == {"running", "waiting"}
    first = shown["steps"][0]
    assert (first["attempt"], first["started"]) == (2, "2026-11-28T03:01:00+00:00") and first["seconds"] > 0
    assert (shown["state"], shown["verdict"], shown["failures"]) == ("RUNNING", None, [])


def test_where_the_clusters_argo_retries_nothing_by_default(api, status, spec):
    """KFP before 2.17: the nodes have no numbered children but the attempts."""
    started = {"start_time": "2026-11-28T03:00:00Z", "end_time": "2026-11-28T03:00:30Z", "state": "SUCCEEDED"}
    executor = node_id(f"{WORKFLOW}.root.Pusher.executor")
    nodes = {
        "Pusher-driver": [],
        "Pusher": [executor],
        "executor": [numbered(executor, 0), numbered(executor, 1)],
        "executor(0)": [],
        "executor(1)": [],
    }
    details = [
        started | {"display_name": name, "child_tasks": [{"pod_name": child} for child in children]}
        for name, children in nodes.items()
    ]
    api.runs["r-1"] = [run("SUCCEEDED", {}, spec, run_details={"task_details": details})]
    assert rows(status().stdout)[-2] == ["Pusher", "succeeded", "03:00:00", "0:30", "2"]


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"blessed": 1.0, "pushed_version": "1732752000"}, "Blessed: version 1732752000 was pushed."),
        (
            {"blessed": 0.0, "refused_because": "better_than_popularity: too low"},
            "Refused, nothing was pushed: better_than_popularity: too low",
        ),
    ],
)
def test_what_a_run_came_to(api, status, spec, figures, said):
    api.runs["r-1"] = [run("SUCCEEDED", dict.fromkeys(ORDER, Step()), spec)]
    api.record("r-1", {}, figures)
    done = status()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-2:] == ["succeeded after 10:00", said]


def test_follow_shows_the_run_until_its_end(api, status, spec):
    begun = run("RUNNING", {"InteractionGen": Step(("RUNNING",), minutes=None)}, spec)
    api.runs["r-1"] = [begun, run("FAILED", FAILED, spec)]
    done = status("--follow")
    assert done.returncode == 1
    assert rows(done.stdout)[-len(ORDER) :][2][:2] == ["StatisticsGen", "failed"]


def test_runs_are_listed_with_what_they_came_to(api, command, spec):
    for number, state in enumerate(["SUCCEEDED", "SUCCEEDED", "FAILED"], start=1):
        api.runs[f"r-{number}"] = [
            run(state, {}, spec, run_id=f"r-{number}", created_at=f"2026-11-2{number}T03:00:00Z")
        ]
    api.record("r-1", {}, {"blessed": 1.0, "pushed_version": "1732579200", "span": "2026-11-21"})
    api.record("r-2", {}, {"blessed": 0.0, "refused_because": "no", "span": "2026-11-22"})
    done = command("runs", f"--host={api.address}", "--last=2")
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["2026-11-22", "03:00", "r-2", "succeeded", "2026-11-22", "refused", "-"],
        ["2026-11-23", "03:00", "r-3", "failed", "-", "-", "-"],
    ]
    assert "r-1 " in command("runs", f"--host={api.address}").stdout


def test_no_run_yet(api, command):
    assert command("runs", f"--host={api.address}").stdout.startswith("No run yet")


def test_an_unknown_run(api, status):
    done = status()
    assert done.returncode == 1
    assert "refuses (404): runs/r-1 not found" in done.stderr
