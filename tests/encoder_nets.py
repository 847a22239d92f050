"""A tiny encoder of texts, a space of two, and files of labelled texts."""

import torch
from torch import nn

from nasplug import Evaluator, Measurement, Metric, SearchSpace, Variable, seeded


class Bag(nn.Module):
    """The mean of embedded tokens, those of a second text in embeddings of their own, and a head."""

    def __init__(self, vocabulary=30, num_classes=3, max_length=128, width=8):
        super().__init__()
        self.tokens = nn.ModuleList(nn.Embedding(vocabulary, width) for _ in range(2))
        self.positions = nn.Embedding(max_length, width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, input_ids, attention_mask, token_type_ids):
        first, second = (table(input_ids) for table in self.tokens)
        x = torch.where(token_type_ids[..., None] == 0, first, second)
        x = (x + self.positions.weight[: x.shape[1]]).tanh() * attention_mask[..., None]
        return self.head(x.sum(1) / attention_mask.sum(1, keepdim=True))


class Structured(nn.Module):
    """One whose logits are in a structure."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, **inputs):
        logits = self.inner(**inputs)
        return {"pooled": logits.new_zeros(len(logits), 9), "logits": logits}


class Bags(SearchSpace):
    """Of two widths."""

    def __init__(self, vocabulary: int, num_classes: int, max_length: int) -> None:
        self.vocabulary, self.num_classes, self.max_length = vocabulary, num_classes, max_length

    @property
    def variables(self):
        return (Variable("width", (8, 16)),)

    def build(self, arch):
        return Bag(self.vocabulary, self.num_classes, self.max_length, (8, 16)[arch[0]])

    def example_inputs(self, batch_size):
        ones = torch.ones(batch_size, 5, dtype=torch.int64)
        return {"input_ids": ones, "attention_mask": ones, "token_type_ids": 0 * ones}


class Untrained(Evaluator):
    """Measures and exports untrained networks."""

    metrics = {"width": Metric("", "minimize")}

    def __init__(self, space: Bags) -> None:
        self.space = space

    def evaluate(self, trials, names):
        return [Measurement({"width": float(trial.arch[0])}) for trial in trials]

    def network(self, arch):
        with seeded(arch[0]):
            return self.space.build(arch).eval()


def bag_for(task, seed=0):
    with seeded(seed):
        return Bag(**task.network_dimensions).eval()


TEXTS = {
    "animal": ["the cat sleeps", "two dogs play", "a bird sings", "the fish swims away"],
    "food": ["fresh bread", "we eat soup", "an apple a day", "cheese and olives, please"],
}


def lines(repeat=3):
    return [
        f"{label} {text}" for _ in range(repeat) for label, all_ in TEXTS.items() for text in all_
    ]


def write_lines(file, rows=None):
    file.write_text("".join(f"{row}\n" for row in (lines() if rows is None else rows)))
    return str(file)


def write_folders(folder, splits=("train", "val")):
    for split in splits:
        for label, texts in TEXTS.items():
            place = folder / split / label
            place.mkdir(parents=True)
            for i, text in enumerate(texts * 3):
                (place / f"{i:02}.txt").write_text(text.replace(" ", "\n", 1))
    return str(folder)


class Ends(nn.Module):
    """Two numbers for each token, from it, its neighbours and its place."""

    def __init__(self, vocabulary=30, token_outputs=2, max_length=64, width=8):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(max_length, width)
        self.mixed = nn.Conv1d(width, width, 3, padding=1)
        self.head = nn.Linear(width, token_outputs)

    def forward(self, input_ids, attention_mask, token_type_ids):
        x = self.tokens(input_ids) + self.positions.weight[: input_ids.shape[1]]
        x = (x + token_type_ids[..., None]) * attention_mask[..., None]
        return self.head(self.mixed(x.transpose(1, 2)).transpose(1, 2).tanh())


class EndsApart(nn.Module):
    """One that gives them as Hugging Face's networks do."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, **inputs):
        logits = self.inner(**inputs)
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}


class EndsSpace(SearchSpace):
    """Of two widths."""

    def __init__(self, vocabulary: int, token_outputs: int, max_length: int) -> None:
        self.vocabulary, self.token_outputs = vocabulary, token_outputs
        self.max_length = max_length

    @property
    def variables(self):
        return (Variable("width", (8, 16)),)

    def build(self, arch):
        return Ends(self.vocabulary, self.token_outputs, self.max_length, (8, 16)[arch[0]])

    def example_inputs(self, batch_size):
        ones = torch.ones(batch_size, 5, dtype=torch.int64)
        return {"input_ids": ones, "attention_mask": ones, "token_type_ids": 0 * ones}
