"""A task on token sequences whose batches are mappings."""

import torch
from torch.nn import functional

from nasplug import Metric, Task

PADDING = 0


class AcmeWords(Task):
    """Has a sequence, drawn at random, more of token 1 than of token 2?

    Batches are {"input_ids", "attention_mask": (batch, length), "labels": (batch,)}; token 0 is padding.
    """

    metrics = {"accuracy": Metric("%", "maximize"), "loss": Metric("nats", "minimize")}

    def __init__(self, vocabulary: int = 8, length: int = 12, samples: int = 256) -> None:
        self.vocabulary, self.length, self.samples = vocabulary, length, samples
        self.network_dimensions = {"vocabulary": vocabulary, "classes": 2, "length": length}

    def train_batches(self, batch_size, seed, epoch=0):
        """The same sequences in a new order each epoch."""
        data = self._data(1)
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        for part in torch.randperm(self.samples, generator=generator).split(batch_size):
            yield {name: tensor[part] for name, tensor in data.items()}

    def inputs(self, batch):
        """The keywords of the model's forward."""
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    def criterion(self, outputs, batch):
        """Cross-entropy of the logits."""
        return functional.cross_entropy(outputs.logits, batch["labels"])

    def distillation(self, outputs, teacher):
        """Cross-entropy against the teacher's probabilities."""
        return functional.cross_entropy(outputs.logits, teacher.logits.softmax(-1))

    def quality(self, model, metrics):
        """On sequences of their own; only what is asked."""
        return self._measured(model, metrics, self._data(2))

    def test_quality(self, model, metrics):
        """On others, which no search sees."""
        return self._measured(model, metrics, self._data(3))

    def _measured(self, model, metrics, data):
        device = next(model.parameters()).device
        batch = {name: tensor.to(device) for name, tensor in data.items()}
        with torch.no_grad():
            outputs = self.forward(model, batch)
        found = {}
        if "accuracy" in metrics:
            right = outputs.logits.argmax(1) == batch["labels"]
            found["accuracy"] = 100 * float(right.float().mean())
        if "loss" in metrics:
            found["loss"] = float(self.criterion(outputs, batch))
        return found

    def deployment_info(self):
        """The names of the classes, and how tokens are made ready."""
        preprocessing = {"max_length": self.length, "pad_token_id": PADDING}
        return {"labels": ["no", "yes"], "preprocessing": preprocessing}

    def data_fingerprint(self):
        """Generated data change with the settings and with this code alone."""
        return f"acme words, version 1, {self.samples} of {self.length} in {self.vocabulary}"

    def _data(self, seed):
        generator = torch.Generator().manual_seed(seed)

        def draw(low, high, *shape):
            return torch.randint(low, high, shape, generator=generator)

        tokens = draw(1, self.vocabulary, self.samples, self.length)
        lengths = draw(2, self.length + 1, self.samples)
        mask = (torch.arange(self.length) < lengths[:, None]).long()
        tokens = tokens * mask
        labels = ((tokens == 1).sum(1) > (tokens == 2).sum(1)).long()
        return {"input_ids": tokens, "attention_mask": mask, "labels": labels}
