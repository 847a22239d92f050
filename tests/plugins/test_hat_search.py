"""Translation transformers from training to a network that translates."""

import json

import pytest
import torch
from nasplug_hat.space import Hat
from nasplug_text.bleu import corpus_bleu

import nasplug
from nasplug import make


@pytest.fixture(scope="module")
def task():
    return make("task", "translation", pairs=400, languages=["en"], vocabulary=100, max_length=40)


@pytest.fixture(scope="module")
def space(task):
    return Hat(
        **task.network_dimensions,
        encoder_embedding=(16, 8),
        decoder_embedding=(16, 8),
        encoder_layers=(2,),
        decoder_layers=(2, 1),
        encoder_ffn=(16, 8),
        decoder_ffn=(16, 8),
        encoder_heads=(2,),
        decoder_heads=(2, 1),
        cross_heads=(2,),
        attended_layers=(1, 2),
        qkv=16,
        dropout=0.1,
        source_length=6,
        target_length=8,
    )


def limit_of(space):
    return float(space.costs([space.largest])["params"][0]) * 0.9


@pytest.fixture(scope="module")
def run(task, space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hat")
    supernet = make(
        "evaluator",
        "supernet_hat",
        space=space,
        task=task,
        cache=str(folder / "cache"),
        training=make("training", "hat", epochs=2),
    )
    return nasplug.search(
        space,
        [supernet, make("evaluator", "costs", space=space, seconds=0.01)],
        make("strategy", "linas"),
        ["bleu", "macs", "latency"],
        8,
        task=task,
        constraints={"params": {"max": limit_of(space)}},
        also=["loss"],
        run=folder / "run",
    )


def test_a_search_with_a_limit_on_parameters(run, space):
    table = run.table()
    assert len(table) == 8 and (table["status"] == "ok").all()
    front = run.front()
    assert (front["params"] <= limit_of(space)).all()
    assert (table["latency"] > 0).all() and table["bleu"].between(0, 100).all()
    assert {"bleu_test", "loss"} <= {*front.columns}


def test_what_is_exported_translates_as_it_was_measured(run, task, tmp_path):
    folder = run.export("bleu", tmp_path / "export")
    network = nasplug.load(folder)
    described = json.loads((folder / "network.json").read_text())
    found = task.quality(network, ["bleu", "loss"])
    assert found["bleu"] == described["metrics"]["bleu"]["value"]
    assert found["loss"] == pytest.approx(described["metrics"]["loss"]["value"], rel=1e-6)
    sources = list(task.corpus.validation.source[:20])
    assert corpus_bleu(
        network.translate(list(task.corpus.validation.source)), task.corpus.validation.target
    )[0] == pytest.approx(found["bleu"])
    assert network.translate(sources[3:4]) == network.translate(sources)[3:4]


def test_the_graph_runs_in_onnx_runtime(run, space, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = run.export("bleu", tmp_path / "onnx", "onnx")
    session = onnxruntime.InferenceSession(str(folder / "network.onnx"))
    source, target = space.example_inputs(2)
    source[1, 4:] = 0
    names = [i.name for i in session.get_inputs()]
    given = dict(zip(names, (source.numpy(), target.numpy()), strict=True))
    expected = nasplug.load(folder)(source, target).detach()
    found = torch.from_numpy(session.run(None, given)[0])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "proxy", ["snip", "grad_norm", "grasp", "plain", "l2_norm", "zico", "params", "flops"]
)
def test_zero_cost_proxies_that_apply(proxy, task, space):
    proxies = make("evaluator", "proxies", space=space, task=task)
    outcomes = proxies.evaluate(nasplug.full_trials([space.largest, space.smallest]), [proxy])
    large, small = (outcome.values[proxy] for outcome in outcomes)
    assert large != small
