"""The task `question_answering`: files, windows, scores, quality, application."""

import json

import numpy as np
import pytest
import torch
from encoder_nets import Ends, EndsApart, EndsSpace, Untrained
from nasplug_text.answering.generated import generate
from nasplug_text.answering.scores import exact_match, f1, percent
from nasplug_text.answering.squad import read
from nasplug_text.answering.task import QuestionAnswering
from nasplug_text.answering.windows import best_spans

import nasplug
from nasplug import NasplugError, choices, make, search, seeded
from nasplug.testing import TaskContract

TEXT = "Ánna reads a long book about the sea. Ben swims in the cold lake; he likes it."
ASKED = [
    ("Who reads?", ["Ánna"]),
    ("Where does Ben swim?", ["in the cold lake", "the cold lake", "lake"]),
    ("What is the book about?", ["the sea"]),
]


def squad(questions=ASKED, text=TEXT, repeat=4):
    qas = [
        {
            "id": str(i),
            "question": question,
            "answers": [{"text": a, "answer_start": text.index(a)} for a in answers],
        }
        for i, (question, answers) in enumerate(list(questions) * repeat)
    ]
    return {
        "version": "1.1",
        "data": [{"title": "x", "paragraphs": [{"context": text, "qas": qas}]}],
    }


def write(folder, **splits):
    files = splits or {"train-v1": squad(), "dev-v1": squad(repeat=1)}
    for name, told in files.items():
        text = told if isinstance(told, str) else json.dumps(told)
        (folder / f"{name.replace('_', '.')}.json").write_text(text, encoding="utf-8")
    return str(folder)


def tiny(path=None, **knobs):
    sizes = dict(questions=48, vocabulary=90, max_length=32, overlap=6, max_question=12)
    return QuestionAnswering(path, **{**sizes, **knobs})


def ends_for(task, seed=0):
    with seeded(seed):
        return Ends(**task.network_dimensions).eval()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tiny(write(tmp_path_factory.mktemp("squad")), max_length=24, vocabulary=70)


class TestFiles(TaskContract):
    @pytest.fixture
    def task(self, shared):
        return shared

    @pytest.fixture
    def model(self, task):
        return ends_for(task)


@pytest.fixture(scope="module")
def generated():
    return tiny()


class TestGenerated(TaskContract):
    @pytest.fixture
    def task(self, generated):
        return generated

    @pytest.fixture
    def model(self, task):
        return EndsApart(ends_for(task))


def test_it_is_a_choice():
    assert "question_answering" in choices("task")
    assert make("task", "question_answering", max_answer=5).max_answer == 5


# ---- scores --------------------------------------------------------------------------------------


def test_scores_are_those_of_squad():
    """Worked out by hand after the published script: lower case, no punctuation, no articles."""
    assert exact_match("The  Cold lake!", "cold lake") == 1 and exact_match("cold", "lake") == 0
    assert f1("a big cold lake", "the cold lake") == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    assert f1("lake lake", "lake") == pytest.approx(2 / 3) and f1("", "lake") == 0
    assert percent(f1, ["cold", "x"], [["lake", "cold lake"], ["y"]]) == pytest.approx(100 / 3)
    assert percent(exact_match, ["cold", "lake"], [["lake", "cold"], ["y"]]) == 50


# ---- files ---------------------------------------------------------------------------------------


def test_files_of_squad(tmp_path, caplog):
    told = squad()
    told["data"][0]["paragraphs"][0]["qas"] += [
        {"id": "n", "question": "Why?", "answers": [], "is_impossible": True}
    ]
    write(tmp_path, **{"x.train-v2": told, "x.dev": squad(repeat=1), "x.test": squad(repeat=1)})
    found = read(str(tmp_path / "x"))
    assert [len(p) for p in (found.train, found.validation, found.test)] == [12, 3, 3]
    assert found.train[1].answers == ("in the cold lake", "the cold lake", "lake")
    assert all(
        TEXT[s:].startswith(a)
        for q in found.train
        for a, s in zip(q.answers, q.starts, strict=True)
    )
    assert "1 questions of" in caplog.text and "have no answer, and are left out" in caplog.text


def moved():
    told = squad()
    told["data"][0]["paragraphs"][0]["qas"][2]["answers"][0]["answer_start"] += 1
    return told


WRONG = {
    "no dev": ({"train": squad()}, "must hold validation data, val.json, .*; it has train.json"),
    "few": ({"train": squad(repeat=3), "dev": squad()}, "at least 10 training questions .* has 9"),
    "no json": ({"train": "{", "dev": squad()}, "must be JSON in SQuAD's format, but: JSONDecode"),
    "no data": ({"train": {}, "dev": squad()}, "must be JSON in SQuAD's format, but: KeyError"),
    "a list": ({"train": [], "dev": squad()}, "must be JSON in SQuAD's format, but: TypeError"),
    "elsewhere": ({"train": moved(), "dev": squad()}, "is not: 'the sea' at 30"),
    "no answers": ({"train": squad([("Why?", [])]), "dev": squad()}, "but has none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_clear_line(tmp_path, case):
    files, words = WRONG[case]
    with pytest.raises(NasplugError, match=words) as caught:
        read(write(tmp_path, **files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"max_length": 20}, "a token more, 22, but got 20; lower task.max_question"),
        ({"questions": 48, "vocabulary": 20}, r"type task.vocabulary=\d+ or more"),
    ],
)
def test_wrong_settings_are_one_clear_line(knobs, words):
    with pytest.raises(NasplugError, match=words):
        next(tiny(**knobs).train_batches(4, 0))


def test_generated_answers_are_in_their_texts():
    made = generate(64, 0)
    assert [len(p) for p in (made.train, made.validation, made.test)] == [64, 4, 4]
    assert "generated" in made.name and made == generate(64, 0) != generate(64, 1)
    for q in made.train:
        (answer,), (start,) = q.answers, q.starts
        _, _, thing, _, person, *_ = q.question.split()
        assert q.context[start:].startswith(f"{answer} {thing} .")
        assert q.context[:start].endswith(f"{person} has ")
        assert f"{person} has {answer} {thing} ." in q.context


# ---- windows -------------------------------------------------------------------------------------


def test_windows_hold_the_whole_text_and_know_its_characters(shared):
    windows, questions = shared._validation, shared.corpus.validation
    assert len(windows) > len(questions)  # the text does not fit into one
    covered = [np.zeros(len(TEXT), bool) for _ in questions]
    vocabulary = shared.tokenizer._made
    for row, (owner, spans) in enumerate(zip(windows.owners, windows.spans, strict=True)):
        batch = windows.tokens.batch(np.array([row]))
        ids, types = (batch[name][0].tolist() for name in ("input_ids", "token_type_ids"))
        assert len(ids) <= 24 and len(ids) == len(spans)
        inside = spans[:, 0] >= 0
        assert [kind for kind, own in zip(types, inside, strict=True) if own] == [1] * inside.sum()
        for one, (begin, end), own in zip(ids, spans.tolist(), inside, strict=True):
            if own:
                covered[owner][begin:end] = True
                piece = vocabulary.id_to_token(one).removeprefix("##")
                plain = TEXT[begin:end].lower().replace("á", "a")
                assert piece == plain
    spaces = np.array([c == " " for c in TEXT])
    assert all(bool((c | spaces).all()) for c in covered)


def test_positions_are_those_of_the_answer(shared):
    questions, found = shared.corpus.train, 0
    windows, positions = shared._training
    for owner, spans, (first, last) in zip(
        windows.owners, windows.spans, positions.tolist(), strict=True
    ):
        if (first, last) != (0, 0):
            text = questions[owner].context[spans[first, 0] : spans[last, 1]]
            assert text == questions[owner].answers[0]
            found += 1
    assert found >= len(questions)


def test_the_best_span_is_that_of_all_pairs():
    logits = torch.randn(3, 7, 2, generator=torch.Generator().manual_seed(0))
    spans = [np.array([[-1, -1], *[[i, i + 1] for i in range(n - 2)], [-1, -1]]) for n in (7, 6, 2)]
    first, last, score = best_spans(logits, spans, 3)
    for row in range(2):
        inside = [i for i in range(len(spans[row])) if spans[row][i, 0] >= 0]
        pairs = [(a, b) for a in inside for b in inside if a <= b < a + 3]
        best = max(pairs, key=lambda p: float(logits[row, p[0], 0] + logits[row, p[1], 1]))
        assert (int(first[row]), int(last[row])) == best
    assert score[2] == float("-inf")  # no token of a text


class Knowing(torch.nn.Module):
    """Gives high logits where it is told."""

    def __init__(self, task):
        super().__init__()
        windows, questions = task._validation, task.corpus.validation
        self.known = {}
        for row, (first, last) in enumerate(windows.targets(questions).tolist()):
            ids = windows.tokens.batch(np.array([row]))["input_ids"][0].tolist()
            self.known[tuple(ids)] = (first, last)

    def forward(self, input_ids, attention_mask, token_type_ids):
        logits = torch.zeros(*input_ids.shape, 2)
        for row, (ids, mask) in enumerate(zip(input_ids.tolist(), attention_mask, strict=True)):
            first, last = self.known[tuple(ids[: int(mask.sum())])]
            if first:
                logits[row, first, 0] = logits[row, last, 1] = 50.0
            logits[row, 0] = 20.0
        return logits


def test_one_that_knows_every_answer_is_wholly_right(shared):
    found = shared.quality(Knowing(shared), shared.metrics)
    assert found["f1"] == found["exact_match"] == 100 and found["loss"] < 1e-5
    fresh = shared.quality(ends_for(shared), shared.metrics)
    assert fresh["f1"] < 100 and fresh["loss"] > 1


def test_padding_takes_no_part(shared):
    model = ends_for(shared)
    batch = next(shared.train_batches(1000, seed=0))
    hidden = batch["attention_mask"] == 0
    assert bool(hidden.any())
    logits = model(**shared.inputs(batch))
    other = logits + 99 * hidden[..., None]
    assert torch.equal(shared.criterion(logits, batch), shared.criterion(other, batch))
    assert torch.equal(
        shared.criterion(shared.forward(model, batch), batch), shared.loss(model, batch)
    )
    apart = EndsApart(model)
    assert torch.equal(shared.forward(apart, batch), shared.forward(model, batch))
    with pytest.raises(NasplugError, match=r"must give logits of shape \(texts, tokens, 2\)"):
        shared.criterion(logits[..., 0], batch)


# ---- application ---------------------------------------------------------------------------------

ALLOW = ["encoder_nets"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, shared):
    space = EndsSpace(**shared.network_dimensions)
    run = search(space, Untrained(space), make("strategy", "grid"), ["width"], 2, task=shared)
    return run.export(0, tmp_path_factory.mktemp("export") / "e")


def test_it_answers_as_it_was_measured(exported, shared):
    network, questions = nasplug.load(exported, ALLOW), shared.corpus.validation
    answers = network.answer((q.question, q.context) for q in questions)
    assert answers == network.predict([f"{q.question}\t{q.context}" for q in questions])
    for q, answer in zip(questions, answers, strict=True):
        assert answer["answer"] and q.context[answer["start"] :].startswith(answer["answer"])
    truths = [q.answers for q in questions]
    given = [a["answer"] for a in answers]
    found = shared.quality(network, ["f1", "exact_match"])
    assert found == {
        "f1": percent(f1, given, truths), "exact_match": percent(exact_match, given, truths)
    }  # fmt: skip
    assert json.loads(json.dumps(answers)) == answers and network.answer([]) == []
    assert network.answer([("Who?", "")]) == [{"answer": "", "start": 0, "score": None}]


@pytest.mark.parametrize("wrong", ["a\tb", ["no tab"], [("a", "b", "c")], [3]])
def test_what_is_no_question_is_one_clear_line(exported, wrong):
    with pytest.raises(
        NasplugError, match="must be given a list of pairs of a question and a text"
    ):
        nasplug.load(exported, ALLOW).answer(wrong)


def test_a_bert_for_answers_fits(generated):
    task = generated
    space = make("space", "denas_bert", **task.network_dimensions)
    network = space.build(space.smallest)
    task.loss(network, next(task.train_batches(4, 0))).backward()
    assert network.head.output.weight.grad.abs().sum() > 0
