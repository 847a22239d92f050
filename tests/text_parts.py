"""A tiny translation task, and a space of networks for it."""

import gzip
from pathlib import Path

from nasplug_text.translation import Translation
from sequence_nets import Attending

from nasplug import Evaluator, Measurement, Metric, SearchSpace, Variable, seeded


def tiny(**knobs):
    return Translation(**{"pairs": 60, "languages": ["en", "es"], "vocabulary": 90, **knobs})


class Translators(SearchSpace):
    """Of two widths."""

    def __init__(self, source_vocabulary: int, target_vocabulary: int) -> None:
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary

    @property
    def variables(self):
        return (Variable("width", (8, 16)),)

    def build(self, arch):
        return Attending(self.source_vocabulary, self.target_vocabulary, (8, 16)[arch[0]])

    def example_inputs(self, batch_size):
        import torch

        return tuple(torch.ones(batch_size, 5, dtype=torch.int64) for _ in range(2))


class Fresh(Evaluator):
    """Measures and exports untrained networks."""

    metrics = {"width": Metric("", "minimize")}

    def __init__(self, space: Translators) -> None:
        self.space = space

    def evaluate(self, trials, names):
        return [Measurement({"width": float(trial.arch[0])}) for trial in trials]

    def network(self, arch):
        with seeded(arch[0]):
            made = self.space.build(arch).eval()
        made.head.weight.data *= 3
        return made


SENTENCES = {
    "de": ["zwei hunde spielen", "ein Mann liest", "die Katze schläft", "Ça va?"] * 3,
    "en": ["two dogs play", "a man reads", "the cat sleeps", "“Hi”, she said"] * 3,
}


def write(folder: Path, splits=("train", "val"), end="", **changed):
    """Files of both languages; `changed` replaces the lines of one, `train_de=[..]`."""
    for split in splits:
        for language, lines in SENTENCES.items():
            text = "".join(f"{line}\n" for line in changed.get(f"{split}_{language}", lines))
            content = text.encode()
            file = folder / f"{split}.{language}{end}"
            file.write_bytes(gzip.compress(content) if end else content)
    return str(folder)
