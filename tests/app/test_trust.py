"""Files that came from elsewhere: what they name is refused before it is imported or called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

import nasplug
from nasplug import NasplugError
from nasplug.app.command_line.overrides import compose
from nasplug.app.files.restoring import restore
from nasplug.app.files.trust import names_from
from nasplug.contracts.predictor import Predictor
from nasplug.plugins.describing import describe
from nasplug.testing import ToyEvaluator, ToySpace

ROOT = Path(__file__).parents[2]
TOUCH = "touch PWNED"
NNI = compose("+space=nni")["space"]["_target_"]
SKLEARN = compose("+predictor=sklearn")["predictor"]["_target_"]
TARGETS = {
    "collect_env": {"_target_": "torch.utils.collect_env.run", "command": TOUCH},
    "os.system": {"_target_": "os.system", "command": TOUCH},
    "posix": {"_target_": "posix.system", "command": TOUCH},
    "popen": {"_target_": "subprocess.Popen", "args": TOUCH, "shell": True},
    "check_output": {"_target_": "subprocess.check_output", "args": TOUCH, "shell": True},
    "eval": {"_target_": "builtins.eval", "_args_": ["open('PWNED', 'w')"]},
    "exec": {"_target_": "builtins.exec", "_args_": ["open('PWNED', 'w')"]},
    "open": {"_target_": "builtins.open", "file": "PWNED", "mode": "w"},
    "joblib": {"_target_": "joblib.load", "filename": "evil.pickle"},
    "numpy": {"_target_": "numpy.load", "file": "evil.pickle", "allow_pickle": True},
    "torch": {"_target_": "torch.load", "f": "evil.pickle", "weights_only": False},
    "pickle": {"_target_": "pandas.read_pickle", "filepath_or_buffer": "evil.pickle"},
    "pickle.loads": {"_target_": "pickle.loads", "data": "cos\nsystem\n(S'touch PWNED'\ntR."},
    "copyfile": {"_target_": "shutil.copyfile", "src": "evil.pickle", "dst": "PWNED"},
    "unlink": {"_target_": "pathlib.Path.unlink", "self": "KEPT"},
    "path": {"_target_": "pathlib.Path", "_args_": ["KEPT"]},
    "runpy": {"_target_": "runpy.run_path", "path_name": "evilmodule.py"},
    "import_module": {"_target_": "importlib.import_module", "name": "evilmodule"},
    "logging": {"_target_": "logging.config.fileConfig", "fname": "evil.ini"},
    "dictConfig": {
        "_target_": "logging.config.dictConfig",
        "config": {"version": 1, "handlers": {"h": {"()": "os.system", "command": TOUCH}}},
    },
    "partial": {"_target_": "functools.partial", "_args_": [{"_target_": "os.system"}, TOUCH]},
    "hydra": {
        "_target_": "hydra.utils.instantiate",
        "config": {"_target_": "os.system", "command": TOUCH},
    },
    "hydra.call": {
        "_target_": "hydra.utils.call",
        "config": {"_target_": "os.system", "command": TOUCH},
    },
    "get_class": {"_target_": "hydra.utils.get_object", "path": "evilmodule.MySpace"},
    "the current folder": {"_target_": "evilmodule.MySpace"},
    "imported": {"_target_": "evilmodule"},
    "a plug-in's name": {"_target_": "nasplug_ofa_evil.space.MySpace"},
    "a prefix": {"_target_": "nasplug_ofaevil.MySpace"},
    "the core": {"_target_": "nasplug.plugins.building.make", "group": "space", "choice": "ofa"},
    "a function": {"_target_": "nasplug_training.weights.read", "path": "evil.pickle"},
    "a method": {"_target_": f"{NNI}.build"},
    "imported there": {"_target_": "nasplug_training.weights.Path", "_args_": []},
    "the core's, imported there": {"_target_": "nasplug_costs.costs.Evaluator"},
    "nothing": {"_target_": ""},
    "dots": {"_target_": "..os.system", "command": TOUCH},
    "a path": {"_target_": "nasplug_ofa/../os.system", "command": TOUCH},
    "no text": {"_target_": ["os", "system"], "command": TOUCH},
    "no target": {"command": TOUCH},
    "interpolated": {"_target_": "nasplug.testing.fakes.ToySpace", "columns": "${oc.env:HOME}"},
    "decoded": {"_target_": "nasplug.testing.fakes.ToySpace", "layers": "${oc.decode:'3'}"},
    "partially": {"_target_": "nasplug.testing.fakes.ToySpace", "_partial_": True},
    "converted": {"_target_": "nasplug.testing.fakes.ToySpace", "_convert_": "all"},
    "not recursive": {"_target_": "nasplug.testing.fakes.ToySpace", "_recursive_": False},
    "nested": {
        "_target_": "nasplug.testing.fakes.ToySpace",
        "layers": {"_target_": "os.system", "command": TOUCH},
    },
    "nested deeply": {
        "_target_": "nasplug.testing.fakes.ToySpace",
        "widths": [{"a": [{"_target_": "os.system", "command": TOUCH}]}],
    },
    "a model": {"_target_": NNI, "model": "evilmodule.MySpace"},
    "a model's module": {"_target_": NNI, "model": "os.system"},
    "a model that pretends": {
        "_target_": NNI,
        "model": "nni.nas.hub.pytorchevil.Net",
    },
}
WRONG = {
    "space": compose()["task"],
    "task": {"_target_": "nasplug.testing.fakes.ToySpace"},
    "evaluators": compose("+strategy=random")["strategy"],
}
"""Good parts, of another contract."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder, on the path as with `python -m`, full of what must not run."""
    (tmp_path / "evilmodule.py").write_text(
        "import pathlib\npathlib.Path('PWNED').touch()\n"
        "from nasplug.testing import ToySpace\nclass MySpace(ToySpace): pass\n"
    )
    (tmp_path / "evil.pickle").write_bytes(b"cos\nsystem\n(S'touch PWNED'\ntR.")
    (tmp_path / "evil.ini").write_text(
        "[loggers]\nkeys=root\n[handlers]\nkeys=h\n[formatters]\nkeys=\n[logger_root]\nhandlers=h\n"
        "[handler_h]\nclass=FileHandler\nargs=('PWNED',)\n"
    )
    (tmp_path / "KEPT").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("evilmodule", None)


def unharmed(folder):
    return not (folder / "PWNED").exists() and (folder / "KEPT").exists()


def script(folder, arguments):
    """What `python ARGUMENTS`, run in `folder`, prints."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, text=True, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def export(folder, space, **more):
    network = ToySpace().build((0, 0, 0, 0))
    save_file(network.state_dict(), folder / "weights.safetensors")
    described = {"space": space, "architecture": [0, 0, 0, 0], **more}
    (folder / "network.json").write_text(json.dumps(described))
    return folder


def run(folder, **parts):
    config = {
        "space": describe(ToySpace()),
        "task": None,
        "evaluators": [{"_target_": "nasplug.testing.fakes.ToyEvaluator"}],
        "strategy": {"_target_": "any.Strategy"},
        "objectives": ["score", "cost"],
        "constraints": {},
        "also": [],
        "seed": 0,
        **parts,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    row = '0,ok,1.0,2.0,"[0, 0, 0, 0]",{},0.1,\n'
    header = "number,status,score,cost,architecture,config,seconds,error\n"
    (folder / "results.csv").write_text(header + row)
    return folder


def message(call):
    with pytest.raises(NasplugError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


class TestGoodFiles:
    def test_an_export_loads(self, folder):
        assert nasplug.load(export(folder, describe(ToySpace())))

    def test_a_run_opens(self, folder):
        assert len(nasplug.open_run(run(folder)).front()) == 1

    def test_what_a_strategy_is_does_not_matter(self, folder):
        """It is never built from a file."""
        for target in TARGETS.values():
            nasplug.open_run(run(folder, strategy=target))
        assert unharmed(folder)

    def test_what_the_caller_allows_is_imported(self, folder):
        target = {"_target_": "evilmodule.MySpace"}
        for allow in (["evilmodule"], ["evilmodule.MySpace"], ["*"]):
            assert nasplug.load(export(folder, target), allow=allow)
            assert nasplug.open_run(run(folder, space=target), allow=allow)

    def test_nni_spaces_of_its_hub_load(self, folder):
        space = nasplug.make("space", "nni_nasbench201", num_classes=3, in_channels=1)
        export(folder, describe(space))
        save_file(space.build(space.smallest).state_dict(), folder / "weights.safetensors")
        described = json.loads((folder / "network.json").read_text())
        described["architecture"] = list(space.smallest)
        (folder / "network.json").write_text(json.dumps(described))
        assert nasplug.load(folder)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
class TestRefused:
    def test_in_an_export(self, folder, target):
        message(lambda: nasplug.load(export(folder, target)))
        assert unharmed(folder) and "evilmodule" not in sys.modules

    @pytest.mark.parametrize("part", ["space", "task", "evaluators"])
    def test_in_a_run(self, folder, target, part):
        node = [target] if part == "evaluators" else target
        message(lambda: nasplug.open_run(run(folder, **{part: node})))
        assert unharmed(folder) and "evilmodule" not in sys.modules


@pytest.mark.parametrize("part", WRONG)
def test_of_another_contract(folder, part):
    target = {"_target_": WRONG[part]["_target_"]}
    node = [target] if part == "evaluators" else target
    text = message(lambda: nasplug.open_run(run(folder, **{part: node})))
    assert "must be a" in text and WRONG[part]["_target_"] in text


def test_it_says_what_to_type(folder):
    text = message(lambda: nasplug.load(export(folder, {"_target_": "evilmodule.MySpace"})))
    assert 'allow=["evilmodule"]' in text and "network.json" in text


def test_a_search_in_such_a_folder_compares_and_builds_nothing(folder):
    run(folder, **{part: TARGETS["collect_env"] for part in ("space", "task", "strategy")})
    with pytest.raises(NasplugError, match="a run of another configuration"):
        nasplug.search(
            ToySpace(), ToyEvaluator(), nasplug.make("strategy", "random"), ["score"], 3, run=folder
        )
    assert unharmed(folder)


@pytest.mark.parametrize("mode", ["report", "export"])
def test_the_command_line(folder, mode):
    run(folder, space=TARGETS["the current folder"])
    arguments = [sys.executable, "-m", "nasplug", f"mode={mode}", "run=."]
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    given = {"env": {**os.environ, "PYTHONPATH": path}, "text": True, "capture_output": True}
    refused = subprocess.run(arguments, cwd=folder, check=False, **given)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert "type allow=[evilmodule]" in refused.stderr and unharmed(folder)
    allowed = subprocess.run([*arguments, "allow=[evilmodule]"], cwd=folder, check=False, **given)
    assert not unharmed(folder)
    assert allowed.returncode == 0 or "no network to export" in allowed.stderr


@pytest.mark.parametrize(
    "name", ["evilmodule.Regressor", "os.system", "sklearnevil.A", "sklearn.base.clone", "sklearn"]
)
def test_a_regressor(folder, name):
    node = {"_target_": SKLEARN, "regressor": name}
    with names_from(folder / "config.yaml"):
        message(lambda: restore(node, Predictor, "predictor"))
        node["regressor"] = "sklearn.ensemble.RandomForestRegressor"
        assert restore(node, Predictor, "predictor")
    assert unharmed(folder)


def test_what_the_running_program_defines(folder):
    """A script opens what it wrote; what it merely imported is still refused."""
    (folder / "other.py").write_text(
        "from nasplug.testing import ToySpace\nclass Other(ToySpace): pass\n"
    )
    (folder / "script.py").write_text(
        "import sys\nimport nasplug\nfrom nasplug import NasplugError\n"
        "from nasplug.testing import ToySpace\nfrom subprocess import Popen\n"
        "from other import Other\nclass Mine(ToySpace): pass\n"
        "print(type(nasplug.load('mine')).__name__)\n"
        "for other in ('popen', 'imported'):\n"
        "    try: nasplug.load(other)\n    except NasplugError as error: print('refused')\n"
    )
    for name, target in (("mine", "Mine"), ("popen", "Popen"), ("imported", "Other")):
        (folder / name).mkdir()
        export(folder / name, {"_target_": f"__main__.{target}"})
    assert script(folder, ["script.py"]) == "Sequential\nrefused\nrefused\n"


def test_what_is_typed_stays_free(folder):
    with pytest.raises(NasplugError, match="must be a subclass of"):
        nasplug.make("space", "nni", model="evilmodule.MySpace")
    assert "evilmodule" in sys.modules


def test_a_text_that_stands_for_more_than_memory_holds(folder):
    run(folder)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 18)]
    text = (folder / "config.yaml").read_text()
    space = "space:\n  _target_: nasplug.testing.fakes.ToySpace\n  widths: *a17\n"
    config = yaml.safe_load(text)
    del config["space"]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n" + space + yaml.safe_dump(config))
    assert "at most" in message(lambda: nasplug.open_run(folder))


class TestCurrentFolder:
    """With `python -m nasplug`, the current folder is on the path."""

    @pytest.mark.parametrize("name", ["nasplug_ofa", "torch", "pluggy", "nasplug_evil"])
    def test_what_lies_there_does_not_pass_for_what_is_installed(self, tmp_path, name):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open('PWNED', 'w')\n")
        registered = tmp_path / "evil-1.0.dist-info"
        registered.mkdir()
        (registered / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        (registered / "entry_points.txt").write_text("[nasplug]\nevil = nasplug_evil\n")
        assert "space: " in script(tmp_path, ["-m", "nasplug", "mode=plugins"])
        assert not (tmp_path / "PWNED").exists()

    def test_interactively_too(self, tmp_path):
        """There, the current folder is before all others."""
        (tmp_path / "nasplug_ofa").mkdir()
        (tmp_path / "nasplug_ofa" / "__init__.py").write_text("open('PWNED', 'w')\n")
        code = "import nasplug; nasplug.choices('space')\n"
        code += "from nasplug.plugins.discovery import broken; print(broken())"
        assert "hides the installed one" in script(tmp_path, ["-c", code])
        assert not (tmp_path / "PWNED").exists()
