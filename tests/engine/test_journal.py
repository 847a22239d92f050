"""journal.log: what Optuna makes of it, whose it is, and what is said of a damaged one."""

import json
import shutil

import numpy as np
import optuna
import pytest
from light import LightEvaluator, LightSpace, LightStrategy

from nasplug import Failure, Measurement, NasplugError, SearchSpace, Variable, search
from nasplug.app.files.journal_repair import repair
from nasplug.contracts.types import Objective, Record, Trial
from nasplug.engine.journal import JOURNAL
from nasplug.engine.ledger import Ledger, read_ledger

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
SPACE = LightSpace()
GOALS = (Objective("good", "%", "maximize"), Objective("slow", "ms", "minimize"))


def find(folder, budget, **more):
    return search(
        SPACE, LightEvaluator(), LightStrategy(), ["good", "slow"], budget, run=folder, **more
    )


def history(run):
    """What was measured, in order, without the clock."""
    return [
        (r.number, r.arch, getattr(r.outcome, "values", None), getattr(r.outcome, "error", None))
        for r in run.records
    ]


def storage(folder):
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    return optuna.storages.JournalStorage(backend)


def sample_records(space, n, rng):
    """Measurements, some with a std, and failures, in an order that is not that of numbers."""
    archs = [tuple(row) for row in space.sample(n, rng).tolist()]
    outcomes = [
        Failure(f"no {i} \ud800 \n", 0.5)
        if i % 5 == 0
        else Measurement(
            {"good": i / 7, "slow": i, "more": 1e300}, i / 3, {"good": 0.1} if i % 2 else {}
        )
        for i in range(n)
    ]
    return [Record(int(i), Trial(archs[i]), outcomes[i]) for i in rng.permutation(n)]


class Named(LightSpace, SearchSpace):
    """Names and options that need quoting, of every type that Optuna stores, and one that it does not."""

    variables = (
        Variable('a "b"\n, é', ("x", 'y"', "\n")),
        Variable("mixed", (None, True, 2, 3.5, "é")),
        Variable("pairs", ((1, 2), (3, 4))),
        Variable("late", (1, 2, 3), when={"mixed": (2, 3.5)}),
    )


class TestOptuna:
    @pytest.mark.parametrize("space", [SPACE, Named()])
    @pytest.mark.parametrize("goals", [GOALS, GOALS[:1]])
    def test_reads_of_a_record_what_its_own_add_trial_writes(self, tmp_path, space, goals):
        records = sample_records(space, 20, np.random.default_rng(0))
        (tmp_path / "own").mkdir()
        ledger = Ledger(tmp_path / "own", space, goals)
        theirs = optuna.create_study(
            storage=f"sqlite:///{tmp_path}/s.db",
            study_name="own",
            directions=[g.direction for g in goals],
        )
        for record in records:
            ledger.add(record)
            add_with_optuna(theirs, space, goals, record)
        ledger.close()
        ours = optuna.load_study(study_name="own", storage=storage(tmp_path / "own"))
        assert ours.metric_names == [g.name for g in goals]
        assert ours.directions == theirs.directions
        for a, b in zip(ours.trials, theirs.trials, strict=True):
            for name in ("number", "state", "values", "params", "distributions", "user_attrs"):
                assert getattr(a, name) == getattr(b, name), name
        if len(goals) > 1:
            optuna.visualization.matplotlib.plot_pareto_front(ours)

    def test_duration_is_what_the_measurement_took(self, tmp_path):
        ledger = Ledger(tmp_path, SPACE, GOALS)
        ledger.add(Record(0, Trial((0,) * 6), Measurement({"good": 1.0, "slow": 2.0}, 12.5)))
        study = optuna.load_study(study_name=tmp_path.name, storage=storage(tmp_path))
        assert study.trials[0].duration.total_seconds() == pytest.approx(12.5)

    def test_the_load_of_the_machine_is_kept(self, tmp_path):
        ledger = Ledger(tmp_path, SPACE, GOALS)
        for i, load in enumerate([None, 0.0, 1.5]):
            outcome = Measurement({"good": 1.0, "slow": 2.0}, 1.0, {}, load)
            ledger.add(Record(i, Trial((i, 0, 0, 0, 0, 0)), outcome))
        assert [r.outcome.load for r in ledger.records()] == [None, 0.0, 1.5]
        assert [r.outcome.load for r in history_of(tmp_path)] == [None, 0.0, 1.5]

    def test_what_others_add_to_the_study_does_no_harm(self, tmp_path):
        find(tmp_path / "r", 20)
        study = optuna.load_study(study_name="r", storage=storage(tmp_path / "r"))
        study.set_user_attr("note", "of the dashboard's")
        study.enqueue_trial({"v0": 1})
        study.tell(study.ask(), [1.0, 2.0])
        assert history(find(tmp_path / "r", 40)) == history(find(None, 40))


def add_with_optuna(study, space, goals, record):
    """One trial as `Ledger` wrote it before it wrote its own lines."""
    done = isinstance(record.outcome, Measurement)
    kind = optuna.distributions.CategoricalDistribution
    kinds = {v.name: kind([plain(o) for o in v.options]) for v in space.variables}
    options = space.options(record.arch)
    kept = {
        "number": record.number,
        "architecture": list(record.arch),
        "seconds": record.outcome.seconds,
    }
    if done:
        kept |= {"metrics": dict(record.outcome.values), "std": dict(record.outcome.std)}
    else:
        kept["error"] = record.outcome.error
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE if done else optuna.trial.TrialState.FAIL,
            params={name: plain(value) for name, value in options.items()},
            distributions={name: kinds[name] for name in options},
            values=[record.outcome.values[g.name] for g in goals] if done else None,
            user_attrs=kept,
        )
    )


def plain(option):
    return option if isinstance(option, str | int | float | bool | None) else repr(option)


class TestWhose:
    def test_a_folder_of_before_goes_on(self, tmp_path):
        """A journal that Optuna wrote, as nasplug had it do."""
        whole = find(tmp_path / "r", 20)
        (tmp_path / "r" / JOURNAL).unlink()
        study = optuna.create_study(
            storage=storage(tmp_path / "r"), study_name="r", directions=["maximize", "minimize"]
        )
        study.set_metric_names(["good", "slow"])
        for record in whole.records:
            add_with_optuna(study, SPACE, GOALS, record)
        assert history(find(tmp_path / "r", 40)) == history(find(None, 40))
        assert len(optuna.load_study(study_name="r", storage=storage(tmp_path / "r")).trials) == 40

    @pytest.mark.parametrize("how", ["renamed", "copied", "link", "relative", "here", "slash"])
    def test_the_folder_goes_by_any_name(self, tmp_path, monkeypatch, how):
        find(tmp_path / "r", 20)
        path = tmp_path / "other"
        if how == "renamed":
            (tmp_path / "r").rename(path)
        elif how == "copied":
            shutil.copytree(tmp_path / "r", path)
        elif how == "link":
            path.symlink_to(tmp_path / "r")
        elif how == "relative":
            monkeypatch.chdir(tmp_path)
            path = "r"
        elif how == "here":
            monkeypatch.chdir(tmp_path / "r")
            path = "."
        else:
            path = f"{tmp_path}/r/../r/"
        counted = []

        class Counting(LightEvaluator):
            def evaluate(self, trials, names):
                archs = [trial.arch for trial in trials]
                counted.extend(archs)
                return super().evaluate(trials, names)

        Counting.__module__, Counting.__qualname__ = LightEvaluator.__module__, "LightEvaluator"
        run = search(SPACE, Counting(), LightStrategy(), ["good", "slow"], 30, run=path)
        assert len(counted) == 10 and history(run) == history(find(None, 30))

    def test_of_two_studies_the_one_that_is_called_so(self, tmp_path):
        """As the first releases left a folder that was renamed."""
        find(tmp_path / "r", 20)
        study = optuna.create_study(
            storage=storage(tmp_path / "r"), study_name="s", directions=["maximize", "minimize"]
        )
        odd = Record(0, Trial((0,) * 6), Measurement({"good": 50.0, "slow": 2.0}))
        add_with_optuna(study, SPACE, GOALS, odd)
        assert len(read_ledger(tmp_path / "r", SPACE)) == 20
        shutil.copytree(tmp_path / "r", tmp_path / "s")
        assert read_ledger(tmp_path / "s", SPACE).record(0) == odd

    def test_a_shared_storage_keeps_the_name_of_the_beginning(self, tmp_path):
        address = f"sqlite:///{tmp_path}/s.db"
        find(tmp_path / "r", 20, storage=address)
        (tmp_path / "r").rename(tmp_path / "other")
        assert history(find(tmp_path / "other", 30, storage=address)) == history(find(None, 30))
        assert optuna.get_all_study_names(address) == ["r"]


def damage(path, how):
    """Spoil the fifth line, or add to the end, of a journal of 23 lines."""
    lines = path.read_bytes().splitlines(keepends=True)
    if how == "nul":
        lines[4] = b"\0" * len(lines[4][:-1]) + b"\n"
    elif how == "cut":
        lines[4] = lines[4][: len(lines[4]) // 2] + b"\n"
    elif how == "joined":
        lines[4] = lines[4][:100]
    elif how == "digit":
        lines[4] = lines[4].replace(b'"params":{"v0":', b'"params":{"v0":1')
    elif how == "blank":
        lines.insert(4, b"\n")
    elif how == "other":
        lines[4] = b'["not", "an operation"]\n'
    elif how == "fields":
        lines[4] = b'{"op_code":4,"study_id":0,"user_attrs":{"architecture":[0,0,0,0,0,0]}}\n'
    elif how == "space":
        lines[4] = (
            b'{"op_code":4,"study_id":0,"user_attrs":{"architecture":[9],"number":2,"seconds":1,"metrics":{}}}\n'
        )
    elif how == "end":
        lines.append(b"garbage\n")
    elif how == "study":
        lines[0] = b"garbage\n"
    path.write_bytes(b"".join(lines))


class TestDamaged:
    @pytest.mark.parametrize(
        "how",
        ["nul", "cut", "joined", "digit", "blank", "other", "fields", "space", "end", "study"],
    )
    def test_the_line_is_named_and_repair_keeps_the_others(self, tmp_path, how):
        folder = tmp_path / "r"
        find(folder, 20)
        path = folder / JOURNAL
        whole = path.read_bytes()
        damage(path, how)
        spoilt = path.read_bytes()
        assert spoilt != whole
        line = {"end": 23, "study": 1}.get(how, 5)
        with pytest.raises(NasplugError, match=rf"^line {line} of .*mode=repair run={folder}$"):
            find(folder, 40)
        with pytest.raises(NasplugError, match=f"line {line} of"):
            read_ledger(folder, SPACE)
        assert path.read_bytes() == spoilt, "reading changed it"
        done = repair(path, SPACE)
        assert done.original.read_bytes() == spoilt
        assert [gap.number for gap in done.dropped] == [line]
        assert done.beside.read_bytes() == spoilt.splitlines(keepends=True)[line - 1]
        lost = {"end": 0, "study": 0, "blank": 0, "joined": 2}.get(how, 1)
        assert done.records == 20 - lost == len(read_ledger(folder, SPACE))
        assert history(find(folder, 40)) == history(find(None, 40))
        study = optuna.load_study(study_name="r", storage=storage(folder))
        assert len(study.trials) == 40 and study.metric_names == ["good", "slow"]

    def test_a_whole_one_is_left_alone(self, tmp_path):
        find(tmp_path, 20)
        before = (tmp_path / JOURNAL).stat()
        done = repair(tmp_path / JOURNAL, SPACE)
        after = (tmp_path / JOURNAL).stat()
        assert (done.records, done.dropped) == (20, []) and not done.original.exists()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    def test_repaired_twice_nothing_is_overwritten(self, tmp_path):
        find(tmp_path, 20)
        kept = []
        for _ in range(3):
            damage(tmp_path / JOURNAL, "end")
            kept.append(((tmp_path / JOURNAL).read_bytes(), repair(tmp_path / JOURNAL, SPACE)))
        assert len({done.original for _, done in kept}) == 3
        assert all(done.original.read_bytes() == text for text, done in kept)

    def test_every_byte_of_a_record_counts(self, tmp_path):
        """Whichever byte of a line is changed, it is refused, or nothing of it that is read changes."""
        find(tmp_path, 3)
        path = tmp_path / JOURNAL
        whole, same = path.read_bytes(), history_of(tmp_path)
        start = whole.index(b'{"op_code":4')
        refused = 0
        for place in range(start, whole.index(b"\n", start)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            try:
                assert history_of(tmp_path) == same
            except NasplugError:
                refused += 1
        assert refused > 300

    def test_a_line_that_is_being_written_is_not_read_yet(self, tmp_path):
        find(tmp_path, 20)
        path = tmp_path / JOURNAL
        whole = path.read_bytes()
        for cut in range(1, 400, 7):
            path.write_bytes(whole[:-cut])
            assert len(read_ledger(tmp_path, SPACE)) == 19
            assert path.stat().st_size == len(whole) - cut, "a reader wrote"


def history_of(folder):
    table = read_ledger(folder, SPACE)
    return [table.record(row) for row in range(len(table))]


def test_a_full_disk_leaves_no_half_line_before_the_next(tmp_path, monkeypatch):
    from nasplug.engine import journal_writer

    ledger = Ledger(tmp_path, SPACE, GOALS)
    records = sample_records(SPACE, 3, np.random.default_rng(0))
    ledger.add(records[0])
    real = journal_writer.os.write

    def full(file, data):
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return real(file, data[:90])

    monkeypatch.setattr(journal_writer.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        ledger.add(records[1])
    monkeypatch.setattr(journal_writer.os, "write", real)
    assert len(ledger) == 1
    ledger.add(records[2])
    assert history_of(tmp_path) == [records[0], records[2]]
    assert all(json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines())
