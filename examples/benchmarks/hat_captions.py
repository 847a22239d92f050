"""Translation on real sentences: what the super-network reaches, and how searches do on it.

    python examples/benchmarks/hat_captions.py PATH [--reverse] [--parts train,alone,rank,..]

PATH holds train, val and test files of English and German, such as Multi30k's. With the settings of
`+experiment=hat_captions`, the parts are:

- train: the super-network (once; it is kept in the cache). Test BLEU of the largest sub-network.
- alone: the largest network by itself, trained for as many seconds. Its test BLEU.
- rank: 50 random sub-networks: Kendall's tau of validation loss and BLEU.
- inherit: 8 sub-networks by inherited weights, and each trained by itself: tau of their losses.
- decode: seconds for the test set's first 200 sentences with beam 5: with a key-value cache, and by
  calling the network with the whole target so far for each token; the translations must be equal.
- searches: linas, random and nsga2 at 50 measurements, 3 seeds: hypervolume of (BLEU, macs), BLEU on
  the first 300 validation pairs.

One line of JSON a result. CPU seconds are of one thread.
"""

import argparse
import json
import time

import numpy as np
import torch
from nasplug_text.decoding import decode
from nasplug_text.pairs import Corpus
from scipy.stats import kendalltau

from nasplug import Evaluator, make, search
from nasplug.app.command_line.overrides import compose
from nasplug.app.components import measuring
from nasplug.contracts.types import full_trials
from nasplug.plugins.building import build
from nasplug.toolkit.searching import pareto


class Remembering(Evaluator):
    """Measures nothing twice, whichever search asks."""

    def __init__(self, inner):
        self.inner, self.known = inner, {}

    @property
    def metrics(self):
        return self.inner.metrics

    def evaluate(self, trials, names):
        archs = [trial.arch for trial in trials]
        new = [arch for arch in dict.fromkeys(archs) if arch not in self.known]
        self.known.update(zip(new, self.inner.evaluate(full_trials(new), names), strict=True))
        return [self.known[arch] for arch in archs]


class Plain(torch.nn.Module):
    """A network without its cache."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, source, target):
        return self.network(source, target)


def say(**found):
    print(json.dumps(found), flush=True)


def values(evaluator, archs, names):
    outcomes = evaluator.evaluate(full_trials(archs), names)
    return np.array([[o.values[name] for name in names] for o in outcomes])


def main():
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--reverse", action="store_true", help="German to English")
    parser.add_argument("--parts", default="train,decode,alone,rank,inherit,searches")
    parser.add_argument("--epochs", type=int, help="of the super-network")
    parser.add_argument("--alone-epochs", type=int, default=14)
    parser.add_argument("--inherit-epochs", type=int, default=3)
    given = parser.parse_args()

    ends = ("de", "en") if given.reverse else ("en", "de")
    overrides = [f"task.path={given.path}", f"task.source={ends[0]}", f"task.target={ends[1]}"]
    if given.epochs:
        overrides.append(f"evaluator.training.epochs={given.epochs}")
    cfg = compose("+experiment=hat_captions", *overrides)
    parts = measuring(cfg)
    space, task = parts.space, parts.task
    supernet = build(cfg.evaluator, space=space, task=task)
    bleu = {"path": given.path, "direction": "-".join(ends)}

    def alone(epochs):
        return make(
            "evaluator", "training_hat", space=space, task=task, epochs=epochs,
            batch_size=cfg.evaluator.training.batch_size, lr=cfg.evaluator.training.lr,
        )  # fmt: skip

    asked = given.parts.split(",")
    if "train" in asked:
        start, cpu = time.monotonic(), time.process_time()
        largest = supernet.network(space.largest)
        seconds = dict(wall=time.monotonic() - start, cpu=time.process_time() - cpu)
        start = time.process_time()
        batch = cfg.evaluator.training.batch_size
        tokens = sum(int((b[2] != 0).sum()) for b in task.train_batches(batch, 0))
        rate = tokens * cfg.evaluator.training.epochs / seconds["cpu"]
        seconds["target_tokens_a_cpu_second"] = rate
        say(part="train", **bleu, **seconds, **task.test_quality(largest, ["bleu", "loss"]))
        say(part="test set", seconds=time.process_time() - start)
        smallest = supernet.network(space.smallest)
        say(part="smallest", **task.test_quality(smallest, ["bleu", "loss"]))
    if "alone" in asked:
        start, cpu = time.monotonic(), time.process_time()
        network = alone(given.alone_epochs).network(space.largest)
        seconds = dict(wall=time.monotonic() - start, cpu=time.process_time() - cpu)
        say(part="alone", **bleu, **seconds, **task.test_quality(network, ["bleu", "loss"]))
    if "rank" in asked:
        archs = list(map(tuple, space.sample(50, np.random.default_rng(0)).tolist()))
        start = time.process_time()
        found = values(supernet, archs, ["bleu", "loss"])
        taken = (time.process_time() - start) / len(archs)
        tau = kendalltau(found[:, 0], -found[:, 1]).statistic
        macs = space.costs(archs)["macs"]
        with_macs = kendalltau(found[:, 0], macs).statistic
        span = [float(x) for x in (found[:, 0].min(), found[:, 0].max())]
        say(part="rank", tau=tau, tau_macs=with_macs, bleu=span, seconds_each=taken)
    if "inherit" in asked:
        archs = list(map(tuple, space.sample(8, np.random.default_rng(1)).tolist()))
        inherited = values(supernet, archs, ["loss"])[:, 0]
        by_itself = values(alone(given.inherit_epochs), archs, ["loss"])[:, 0]
        tau = kendalltau(inherited, by_itself).statistic
        say(part="inherit", tau=tau, inherited=list(inherited), alone=list(by_itself))
    if "decode" in asked:
        network = supernet.network(space.largest)
        sources = task.vocabularies[0].encode(list(task.corpus.test.source[:200]))
        written, taken = [], []
        for decoder in (network, Plain(network)):
            start = time.process_time()
            written.append(decode(decoder, sources, 5, 1.0, 100))
            taken.append(time.process_time() - start)
        tokens = sum(map(len, written[0]))
        say(
            part="decode", cached=taken[0], whole=taken[1], factor=taken[1] / taken[0],
            equal=written[0] == written[1], tokens_a_second=tokens / taken[0],
        )  # fmt: skip
    if "searches" in asked:
        supernet.prepare()  # so that the weights are those of the whole task
        whole = task.corpus
        first = whole.validation.first(300)
        vars(task)["corpus"] = Corpus(whole.name, whole.train, first, whole.test)
        vars(task).pop("_validation", None)
        shared, costs = Remembering(supernet), make("evaluator", "costs", space=space)
        fronts = {}
        for name in ("linas", "random", "nsga2"):
            for seed in range(3):
                run = search(
                    space, [shared, costs], make("strategy", name), ["bleu", "macs"], 50,
                    task=task, seed=seed, test=False,
                )  # fmt: skip
                table = run.table()
                fronts[name, seed] = np.stack([-table["bleu"], np.log(table["macs"])], 1)
                say(part="searched", strategy=name, seed=seed, front=len(run.front()))
        every = np.concatenate(list(fronts.values()))
        least, most = every.min(0), every.max(0)
        for name in ("linas", "random", "nsga2"):
            shares = [
                pareto.hypervolume((fronts[name, s] - least) / (most - least), np.ones(2))
                for s in range(3)
            ]
            say(part="hypervolume", strategy=name, mean=float(np.mean(shares)), each=shares)


if __name__ == "__main__":
    main()
