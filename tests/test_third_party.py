"""The example plug-in: built, installed beside nasplug, and used as a third party's would be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "examples" / "third_party"
PHONE = """
import json, pathlib, sys
network = json.loads((pathlib.Path(sys.argv[1]) / "network.json").read_text())
print(json.dumps({"latency": 1.5 * network["config"]["depth"]}))
"""
LOADED = """
import nasplug
from nasplug_acme.text import AcmeText
network = nasplug.load("e")
assert network(**AcmeText().example_inputs(2)).logits.shape == (2, 2)
assert all(len(row.unique()) <= 15 for p in network.parameters() if p.ndim > 1 for row in p)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment in which nasplug-acme is installed: its wheel was built and unpacked."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-build-isolation",
            ),
            *("--disable-pip-version-check", "--target", str(target), str(SOURCE)),
        ],
        check=True,
    )
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (target, ROOT, ROOT / "plugins"))),
        "OMP_NUM_THREADS": "1",
    }


def nasplug(environment, folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "nasplug", *arguments], cwd=folder, env=environment, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_listed_and_its_files_are_the_plug_in_s_own(installed, tmp_path):
    listed = nasplug(installed, tmp_path, "mode=plugins")
    assert "acme  (nasplug-acme 0.1" in listed and "space: acme" in listed
    site = Path(installed["PYTHONPATH"].split(os.pathsep)[0])
    assert {p.name for p in site.iterdir()} - {"bin"} == {
        "nasplug_acme",
        "nasplug_acme-0.1.dist-info",
    }


def test_its_space_and_proxy_are_searched_and_its_hooks_heard(installed, tmp_path):
    out = nasplug(
        installed, tmp_path, "+space=acme", "+strategy=random", "objectives=[acme_signal,macs]",
        "budget=12", "run=runs/a",
    )  # fmt: skip
    assert "acme saw the first of 84 architectures" in out
    assert "acme saw 12 architectures" in out
    table = pd.read_csv(tmp_path / "runs" / "a" / "results.csv")
    assert (table["status"] == "ok").all() and table["acme_signal"].nunique() == 12


def test_its_model_of_keywords_is_searched_with_shared_weights(installed, tmp_path):
    nasplug(
        installed, tmp_path, "+space=acme_text", "task=acme_words", "+strategy=random", "budget=6",
        "run=a", "log=warning",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "a" / "results.csv")
    assert (table["status"] == "ok").all() and table["accuracy"].between(70, 100).all()
    assert table["macs"].nunique() > 1


def test_its_command_measures_and_its_finalizer_finishes_what_is_exported(installed, tmp_path):
    (tmp_path / "phone.py").write_text(PHONE)
    nasplug(
        installed, tmp_path, "+space=acme_text", "task=acme_words", "+strategy=random", "budget=3",
        "evaluators.phone=acme_command", "objectives=[accuracy,latency]", "run=a", "log=warning",
        f"evaluators.phone.command='{sys.executable} phone.py {{folder}}'",
        "evaluator.finalizers=[{_target_: nasplug_acme.rounding.AcmeRounding, bits: 4}]",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "a" / "results.csv")
    depths = [json.loads(config)["depth"] for config in table["config"]]
    assert table["latency"].tolist() == [1.5 * depth for depth in depths]
    nasplug(installed, tmp_path, "mode=export", "run=a", "to=e")
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=tmp_path, env=installed, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    described = json.loads((tmp_path / "e" / "network.json").read_text())
    assert described["task"]["labels"] == ["no", "yes"]


def test_its_own_tests_pass(installed, tmp_path):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(SOURCE / "tests"),
    ]
    subprocess.run(command, cwd=tmp_path, env=installed, check=True)
