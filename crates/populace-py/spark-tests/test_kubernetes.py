"""The Kubernetes example: its command, run once for each index, makes the run of one machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import populace as pp
from populace import _populace

MANIFEST = Path(__file__).parents[3] / "examples/kubernetes/job.yaml"


def test_the_pods_of_the_job_make_the_run_of_one_machine(tmp_path):
    job = json.loads(_populace.yaml_to_json(str(MANIFEST), MANIFEST.read_text()))
    assert job["kind"] == "Job" and job["spec"]["completionMode"] == "Indexed"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    declared = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(declared["PARTS"]) == job["spec"]["completions"]
    assert declared["THREADS"] == container["resources"]["requests"]["cpu"]
    assert declared["OUTPUT"].startswith(container["volumeMounts"][0]["mountPath"])

    here = {"USERS": "40", "PARTS": "5", "THREADS": "1", "OUTPUT": str(tmp_path / "email")}
    assert here.keys() == declared.keys()
    environment = {**os.environ, **here, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def start(index):
        return subprocess.Popen(container["command"], env={**environment, "JOB_COMPLETION_INDEX": str(index)})

    # Two at a time and out of order; then one again whose pod was thought lost. A pod that fails is tried again, as the job says: two that
    # begin at one moment may both create the directory.
    for indices in [(4, 1), (0, 3), (2,), (1,)]:
        pods = {index: start(index) for index in indices}
        for _ in range(job["spec"]["backoffLimitPerIndex"] + 1):
            pods = {index: start(index) for index, pod in pods.items() if pod.wait(60) != 0}
        assert not pods
    found = pp.open(tmp_path / "email").manifest
    alone = pp.generate("email", users=40, seed=42).write(tmp_path / "alone").manifest
    assert {path: table["digest"] for path, table in found["tables"].items()} == {
        path: table["digest"] for path, table in alone["tables"].items()
    }
    assert found["run"]["parts"] == 5
