"""An exported network that translates, and mode=predict."""

import copy
import io
import json
import pickle
import sys

import pytest
import torch
from sequence_nets import Attending
from text_parts import Fresh, Translators, tiny

import nasplug
from nasplug import Application, NasplugError, make, search
from nasplug.toolkit.sequences.beam_search import beam_search
from nasplug.toolkit.sequences.tokens import END

ALLOW = ["text_parts"]
TEXTS = ["<es> zweihundertdrei", "<en> vier", "<es> siebentausendzweihundertelf"]


def export(folder, task):
    space = Translators(**task.network_dimensions)
    run = search(space, Fresh(space), make("strategy", "grid"), ["width"], 2, task=task)
    return run.export(0, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export(tmp_path_factory.mktemp("export") / "e", tiny(beam=3, length_penalty=0.6))


@pytest.fixture
def changed(folder, tmp_path):
    """A copy whose network.json is changed: `changed(task={..})`."""

    def change(**parts):
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        described = json.loads((tmp_path / "network.json").read_text())
        for key, value in parts.items():
            inner = described[key]
            described[key] = {**inner, **value} if isinstance(value, dict) else value
        (tmp_path / "network.json").write_text(json.dumps(described))
        return tmp_path

    return change


def test_it_translates_as_it_was_measured(folder):
    network = nasplug.load(folder, ALLOW)
    task = tiny()
    source, target = task.vocabularies
    expected = []
    for text in TEXTS:
        (ids,) = source.encode([text])
        best = beam_search(
            network, torch.tensor([[*ids, END]]), 3, 0.6, min(100, 3 * len(ids) + 10)
        )
        expected += target.decode(best)
    assert network.translate(TEXTS) == network.predict(TEXTS) == expected
    assert network.translate(reversed(TEXTS)) == expected[::-1]
    assert len(set(expected)) > 1


def test_the_network_is_what_it_was(folder):
    network = nasplug.load(folder, ALLOW)
    assert type(network) is Attending and not network.training
    assert set(network.state_dict()) == set(Attending().state_dict())
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert twin.translate(TEXTS) == network.translate(TEXTS)
        assert twin.translate.__self__.network is twin


def test_settings_are_kept(folder):
    info = json.loads((folder / "network.json").read_text())["task"]
    told = {"source": "de", "target": "en, es", "beam": 3, "length_penalty": 0.6}
    assert told.items() <= info["application"].items()
    assert info["bleu"].startswith("nrefs:1|")


def test_two_vocabularies_and_lower_case(tmp_path):
    task = tiny(joint=False, vocabulary=60, lowercase=True)
    network = nasplug.load(export(tmp_path / "e", task), ALLOW)
    assert network.translate([TEXTS[0].upper()]) == network.translate([TEXTS[0]])


def test_empty_unknown_and_long_texts(folder, caplog):
    network = nasplug.load(folder, ALLOW)
    assert network.translate([]) == [] and network.translate(["", " \n"]) == ["", ""]
    assert len(network.translate(["☃☃", "vier " * 500])) == 2
    assert "1 texts have more than 100 tokens" in caplog.text
    for wrong in ("one text", [3], [None]):
        with pytest.raises(NasplugError, match="must be given a list of texts, but got"):
            network.translate(wrong)


class Shouting(Application):
    """Of no plug-in."""

    methods = ("predict", "forward")

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    def predict(self, inputs):
        return [text.upper() for text in inputs]


WRONG = {
    "a vocabulary of others": (
        {"source_vocabulary": "{}"},
        "a vocabulary must be what nasplug wrote",
    ),
    "no vocabulary": ({"source_vocabulary": None}, "a vocabulary must be what nasplug wrote"),
    "a smaller one": (
        {"source_vocabulary": tiny(vocabulary=80).vocabularies[0].to_text()},
        "the vocabulary must fit the weights, but it has 80 tokens and the network 90",
    ),
    "a larger one": (
        {"source_vocabulary": tiny(vocabulary=100).vocabularies[0].to_text()},
        "the network must take tokens of its vocabularies, 100 and 100, but: index out of range",
    ),
    "another target": (
        {"target_vocabulary": tiny(vocabulary=80).vocabularies[0].to_text()},
        "the vocabulary must fit the weights",
    ),
    "no beam": ({"beam": 0}, "beam of Translator must be int, at least 1, but got 0"),
    "a word for a number": (
        {"length_penalty": "one"},
        "length_penalty of Translator must be float",
    ),
    "infinite": ({"length_penalty": float("inf")}, "length_penalty of Translator must be finite"),
    "an unknown setting": (
        {"beams": 3},
        "unknown argument of Translator 'beams'; did you mean beam",
    ),
    "no class": ({"_target_": "nasplug_text.translator.log"}, "must name classes"),
    "no application": (
        {"_target_": "nasplug_text.translation.Translation"},
        "application of .* must be a Application",
    ),
    "a stranger": ({"_target_": "os.system"}, "is of no installed plug-in and is not imported"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_strangers_file_is_one_clear_line(changed, folder, case):
    change, words = WRONG[case]
    info = json.loads((folder / "network.json").read_text())["task"]
    if set(change) & {"source_vocabulary", "target_vocabulary"}:
        path = changed(task=change)
    else:
        path = changed(task={"application": {**info["application"], **change}})
    with pytest.raises(NasplugError, match=words) as caught:
        nasplug.load(path, ALLOW)
    assert "\n" not in str(caught.value)


def test_a_name_that_the_network_has(changed):
    path = changed(task={"application": {"_target_": f"{__name__}.Shouting"}})
    with pytest.raises(NasplugError, match="is of no installed plug-in"):
        nasplug.load(path, ALLOW)
    sys.modules.setdefault(__name__, sys.modules[Shouting.__module__])
    with pytest.raises(NasplugError, match="must have no forward of its own"):
        nasplug.load(path, [*ALLOW, __name__])


@pytest.mark.parametrize("task", [None, [], 3, {"application": None}, {"labels": ["a"]}])
def test_without_an_application_it_loads_as_before(changed, folder, task):
    path = changed()
    described = json.loads((path / "network.json").read_text())
    described["task"] = task
    (path / "network.json").write_text(json.dumps(described))
    network = nasplug.load(path, ALLOW)
    assert not hasattr(network, "predict") and not hasattr(network, "translate")


# ---- mode=predict --------------------------------------------------------------------------------


def predict(cli, folder, *words):
    return cli("mode=predict", f"network={folder}", "allow=[text_parts]", *words)


def test_a_text_a_file_and_standard_input(cli, folder, tmp_path, monkeypatch):
    expected = nasplug.load(folder, ALLOW).translate(TEXTS)
    (tmp_path / "in.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    assert predict(cli, folder, "input=in.txt") == (0, "\n".join(expected) + "\n", "")
    status, out, err = predict(cli, folder, f"input={TEXTS[0]}")
    assert (status, out, err) == (0, expected[0] + "\n", "")
    stream = io.TextIOWrapper(io.BytesIO("\r\n".join(TEXTS).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    assert predict(cli, folder, "input=-")[1] == "\n".join(expected) + "\n"


def test_into_a_file(cli, folder, tmp_path):
    expected = nasplug.load(folder, ALLOW).translate(TEXTS[:1])
    status, out, _ = predict(cli, folder, f"input={TEXTS[0]}", "to=out.txt")
    assert (status, out) == (0, "out.txt\n")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == expected[0] + "\n"


def test_signs_that_the_command_line_gives_a_meaning(cli, folder):
    for text in ("Ein Mädchen, das läuft!", "a=b", "it's", "'1, 2'"):
        status, out, err = predict(cli, folder, f"input={text}")
        assert (status, len(out.splitlines()), err) == (0, 1, ""), text
    status, _, err = predict(cli, folder, "input=zwei hunde, ein mann")
    assert status == 1 and "one value with a comma in it is quoted" in err


def test_mistakes_are_one_line(cli, folder, tmp_path, changed):
    status, _, err = cli("mode=predict", "input=x")
    assert status == 1 and "mode=predict needs the folder of an exported network" in err
    status, _, err = predict(cli, folder)
    assert status == 1 and "mode=predict needs something to answer" in err
    status, _, err = cli("mode=predict", f"network={folder}", "input=x")
    assert status == 1 and "allow=[text_parts]" in err and len(err.splitlines()) == 1
    status, _, err = predict(cli, folder, "input=x", "to=no/such/file")
    assert status == 1 and "no/such/file must be writable" in err
    (tmp_path / "bad.txt").write_bytes(b"gut\nsch\xf6n\n")
    status, _, err = predict(cli, folder, "input=bad.txt")
    assert status == 1 and "bad.txt must be text in UTF-8, but line 2 is not" in err
    status, _, err = predict(cli, changed(task=None), "input=x")
    assert status == 1 and "must have an application" in err and len(err.splitlines()) == 1
