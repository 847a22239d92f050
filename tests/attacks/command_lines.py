"""Wrong command lines, and odd ones that are right: none may end in a traceback.

python tests/attacks/command_lines.py [WORD]     runs those with WORD in them, each in a process of its own
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAST = ("+space=ofa_mbv3", "+strategy=random", "objectives=[params,macs]", "budget=12")
"""A search in seconds: costs in closed form, nothing is trained."""
NO_STRATEGY = (FAST[0], *FAST[2:])
UNFORESEEN = "unforeseen"
"""What the last net says of an error that nobody thought of: no answer to a user's mistake."""

_SETTINGS = """
seed=-1 seed=1.5 seed=abc seed=null seed=true seed=[1] seed={a:1} seed=99999999999999999999999
seed=inf
budget=0 budget=-3 budget=1.5 budget=1e3 budget=ten budget=null budget=true budget=[1]
budget={a:1} budget=nan
objectives=[] objectives={q:1} objectives=[[macs]] objectives=5 objectives=[5]
objectives=[macs,macs] objectives=true
objectives=[null] objectives=nope objectives=[macs,nope] objectives=''
constraints=5 constraints=[macs] constraints=macs constraints={macs:5}
constraints.macs=5
constraints.macs.max=abc constraints.macs.max=null constraints.macs.max=nan
constraints.macs.max=inf
constraints.macs.maximum=5 constraints.nope.max=5 constraints.macs={} constraints.macs.max=true
constraints.macs=null constraints.macs.max.more=5 constraints={macs:{min:5,max:3}}
constraints.params.max=1
also=null also=5 also=[5] also={a:1} also=[nope] also=[[macs]]
run=[a] run={a:b} run=true run='' run=1.5 run=/proc/nope run=/dev/null run=/dev/null/x
to=[a] storage=5 storage=nope storage=sqlite:////proc/nope.db storage=[] device=5 device=null
device=[cpu]
weights=5 weights=[a] log=5 log=loud log=null log=[info] pick=[1] pick=1.5 pick=null format=zip
format=null
under=5 under.latency=10 under.macs=null under={macs:{maximum:5}} under.macs.max=nan
under={q:{min:2,max:1}}
allow=5 allow=null older=-1 older=nan older=soon clear=[a] measure_last=5 measure_last=null measure_last={a:b}
correlate=5 correlate.n=30 +correlate.n=30 ++correlate.x=30 correlate.nope=5
choices=5 named=[a] job=x defaults=[] choices.space=x evaluators=5 evaluators=[costs]
evaluators={a:{b:1}} evaluators=null
budget=${nope} budget=${seed} seed=${oc.env:NASPLUG_NOPE} objectives=${budget} run=${
device=${device} budget=${budget}
nope=1 +nope=1 ++nope.x=1 ~nope budgets=5 Budget=5 .budget=5 budget.=5 budget..x=5 =5 budget
budget= budget=5=6
~budget ~objectives ~constraints ~log ~mode ~executor ~hydra ~hydra.run ~choices ~evaluators ~seed
~run
~also ~measure_last ~space.nope ~evaluators.nope ~~evaluator
space=5 space=[a] space={a:1} space=null +space=ofa_resnet50 space.nope=1 space.width_mult=wide
space.width_mult=null
space.width_mult=-1 space.width_mult=nan space.width_mult=[1] space.width_mult.x=1
space.num_classes=0 space.num_classes=-5 space.image_size=0 space.image_size=-1
space.image_size=1e9 space.in_channels=0
space=ofa_mbv4 space=ofa_mbv3,ofa_resnet50 +space.nope=1 ++space.nope=1 space/x=y space@x=ofa_mbv3
strategy=nope strategy=null strategy={} strategy.nope=1 strategy/predictor=nope +strategy.nope=1
strategy._target_=nope
strategy._target_=nope.nope.Nope strategy._target_=os.getcwd space._target_=5 space._target_=null
space._target_=os.system
task=nope task=5 task.nope=1 task.image_size=0 task.image_size=-1 task.rotation=wide
task=image_folder
evaluator=nope evaluator=5 evaluator.nope=1 evaluator.training.epochs=2.5 evaluator.training=5
evaluator.training.lr.x=1
evaluator.threads=two evaluators.phone=nope evaluators.phone=5 evaluators.phone.threads=2
evaluators.main=costs
evaluators.costs=nope evaluators.costs.threads=two evaluators.costs.rename=5
evaluators.costs.rename.nope=x
evaluators.costs.rename={latency:5} costs.threads=2 proxies.cache=x evaluator@costs=costs
+evaluator@phone=costs ~costs
executor=nope executor=5 executor=null executor.workers=2 executor=processes,serial mode=nope
mode=5 mode=null mode.x=1
mode._target_=os.getcwd mode.needs=[] training=sandwich +predictor=gp +proxy=synflow wrapper=move
training@evaluator.training=nope warmup.proxy=nope warmup.nope=1 move.proxy=5 warmup=5
experiment=ofa_linas +experiment=nope +experiment=5
hydra.run.dir=/proc/nope hydra.nope=1 hydra/launcher=nope hydra/nope=x hydra=5 hydra.run=5
hydra.mode=nope
hydra.job.chdir=maybe hydra.searchpath=[file:///nonexistent]
hydra.callbacks.x={_target_:nope.Nope} hydra/job_logging=nope
hydra.output_subdir=/proc/nope hydra.run=[5]
budget=1,2 seed=range(3) seed=choice(0,1) objectives=[macs],[params] run=a,b seed=interval(0,1)
seed=glob(*)
constraints.params<=5e6 constraints.params>=5e6 constraints.params<5 budget==5 budget>5
objectives=[top1 macs] objectives=[macs objectives=macs] objectives=(macs) objectives={macs
budget=10) seed=\\
späße=1 budget=zwölf ±=5 space=ofä
"""
"""Each after FAST."""

_ALONE = {
    "nothing": [],
    "a word": ["linas"],
    "a choice": ["ofa_mbv3"],
    "no strategy": ["+space=ofa_mbv3"],
    "no space": ["+strategy=random"],
    "list with a space": [*FAST, "objectives=[top1,", "macs]"],
    "list in words": [*FAST, "objectives=[top1, macs", "]"],
    "unknown flag": [*FAST, "--nope"],
    "setting as a flag": [*FAST, "--budget", "10"],
    "setting as a flag, =": [*FAST, "--budget=10"],
    "flag with dots": [*FAST, "--space.width_mult", "2"],
    "short flag": [*FAST, "-x"],
    "a negative number": [*FAST, "-5"],
    "two dashes": [*FAST, "--"],
    "one dash": [*FAST, "-"],
    "misspelt flag": [*FAST, "--multirum"],
    "config name": [*FAST, "--config-name=evil"],
    "config name, two words": [*FAST, "--config-name", "evil"],
    "-cn": ["-cn", "evil"],
    "config path": [*FAST, "--config-path=/etc"],
    "config dir": [*FAST, "--config-dir=/nonexistent"],
    "config dir, a file": [*FAST, "--config-dir", "/dev/null"],
    "config dir, nothing": [*FAST, "--config-dir"],
    "rerun": ["--experimental-rerun=x"],
    "cfg of nothing": ["--cfg"],
    "cfg of what": ["--cfg", "nope"],
    "cfg with a mistake": ["--cfg", "job", "+space=nope"],
    "info of what": ["--info=nope"],
    "resolve alone": [*FAST, "--resolve"],
    "package alone": [*FAST, "--package", "space"],
    "package of nothing": ["--cfg", "job", "--package", "nope"],
    "two commands": [*FAST, "--multirun", "--cfg", "job"],
    "run and multirun": [*FAST, "--run", "--multirun"],
    "completion of what": ["-sc", "nope"],
    "help of what": ["--help", "+strategy=nope"],
    "multirun of nothing": ["--multirun"],
    "multirun of no strategy": ["--multirun", "+space=ofa_mbv3", "seed=0,1"],
    "multirun with a word": ["--multirun", *FAST, "seed=0,abc"],
    "multirun of unknown": ["--multirun", *NO_STRATEGY, "+strategy=random,nope"],
    "multirun of one that fails": ["--multirun", *NO_STRATEGY, "+strategy=random,ga"],
    "multirun of a wrong range": ["--multirun", *FAST, "budget=range(-2,1)"],
    "multirun of intervals": ["--multirun", *FAST, "seed=interval(0,1)"],
    "multirun in one folder": ["--multirun", *FAST, "seed=0,1", "run=same"],
    "multirun to nowhere": ["--multirun", *FAST, "hydra.sweep.dir=/proc/nope"],
    "multirun by nobody": ["--multirun", *FAST, "hydra/launcher=nope"],
    "growth nan": [*NO_STRATEGY, "+strategy=linas", "strategy.growth=nan"],
    "no such predictor": [*NO_STRATEGY, "+strategy=linas", "strategy/predictor=nope"],
    "no such predictor, right": [
        *NO_STRATEGY, "+strategy=linas", "predictor@strategy.predictor=nope",
    ],
    "tpe of no candidates": [
        *NO_STRATEGY, "+strategy=tpe", "strategy.settings.n_ei_candidates=0",
    ],
    "spaces": ["+space=a,b", "+strategy=random"],
    "space before": ["space.width_mult=1", "+strategy=random"],
    "training of training": [*FAST, "evaluator=training", "evaluator.training.epochs=2"],
    "no evaluator, its metric": ["~evaluator", *FAST[:2], "objectives=[top1,macs]"],
    "no costs, their metric": ["~evaluators.costs", *FAST],
    "no proxies, their score": ["~evaluators.proxies", *FAST, "warmup.proxy=synflow"],
    "no task, for training": ["~task", *FAST[:2], "objectives=[top1,macs]"],
    "no such table": [*FAST, "evaluator=table", "evaluator.path=nope.csv", "also=[top1]"],
    "no such recording": [*FAST, "evaluator=recorded", "evaluator.results=[nope.csv]"],
    "no such model": ["+space=nni", "space.model=nope.Nope", "+strategy=random"],
    "no such weights": [*FAST[:2], "weights=nope.pth", "budget=2"],
    "report of nothing": ["mode=report"],
    "report of nowhere": ["mode=report", "run=nowhere"],
    "report of a file": ["mode=report", "run=/dev/null"],
    "report of an empty folder": ["mode=report", "run=empty"],
    "report of scores": ["mode=report", "run=scores"],
    "report of an old run without results": ["mode=report", "run=unmeasured"],
    "export of nothing": ["mode=export"],
    "export of nowhere": ["mode=export", "run=nowhere"],
    "export of scores": ["mode=export", "run=scores"],
    "export of what": ["mode=export", "run=searched", "pick=nope"],
    "export of number": ["mode=export", "run=searched", "pick=99"],
    "export under nothing": ["mode=export", "run=searched", "under.macs.max=1"],
    "export under what": ["mode=export", "run=searched", "under.nope.max=1"],
    "export under a number": ["mode=export", "run=searched", "under.latency=10"],
    "export under a word": ["mode=export", "run=searched", "under={macs:{maximum:1}}"],
    "export to a file": ["mode=export", "run=searched", "to=/dev/null"],
    "a search into scores": [*FAST, "run=scores"],
    "a search into a file": [*FAST, "run=a_file"],
    "a search into another": [*FAST, "run=searched", "seed=1"],
    "scores into a search": ["mode=correlate", "+space=ofa_mbv3", "run=searched"],
    "correlate of nothing": ["mode=correlate"],
    **{
        word: ["mode=correlate", "+space=ofa_mbv3", word]
        for word in (
            "correlate=5", "correlate=null", "correlate=[1]", "~correlate", "~correlate.n",
            "correlate.n=2", "correlate.n=abc", "correlate.n=1.5", "correlate.n.more=5",
            "correlate.nope=5", "+correlate.nope=5", "+correlate.n=5", "correlat.n=5",
            "correlate.scores=5", "correlate.scores={a:b}", "correlate.scores=[[synflow]]",
            "correlate.scores=[nope]", "correlate.predictors=5", "correlate.predictors=[[gp]]",
            "correlate.predictors=[nope]", "correlate.target=5", "correlate.target=nope",
        )
    },
    "train nothing": ["mode=train"],
    "train without": ["mode=train", "~evaluator", "+space=ofa_mbv3"],
    "no pool": [*FAST, "warmup.proxy=synflow", "warmup.pool=0"],
    "no candidates": [*FAST, "move.proxy=synflow", "move.candidates=many"],
    "too large": [*FAST[:2], "space.width_mult=1e6", "budget=2"],
    "a name too long": [*FAST, f"run={'x' * 300}"],
}  # fmt: skip

WORKS = {
    "version": ["--version"],
    "help": ["--help"],
    "-h": ["-h"],
    "help of a choice": ["+strategy=linas", "--help"],
    "hydra's help": ["--hydra-help"],
    "completion": ["-sc", "install=bash"],
    "cfg": ["--cfg", "job", *FAST],
    "cfg, =": ["--cfg=job", "--package=space", *FAST],
    "cfg of a part": ["--cfg", "job", "--package", "space", *FAST],
    "cfg, resolved": ["--cfg", "job", "--resolve", *FAST],
    "info": ["--info"],
    "info of defaults": ["--info", "defaults", *FAST],
    "plugins": ["mode=plugins"],
    "letters": [*FAST, "run=runs/späße"],
    "a space in a name": [*FAST, "run=runs/a b"],
    "signs in a name": [*FAST, "run=runs/it's (mine)"],
    "quoted twice": [*FAST, "run='runs/a,b'"],
    "a number for a name": [*FAST, "run=5"],
    "quoted list": [*FAST, "also=[size, macs]", "also=[params, macs]"],
    "settings before their part": [
        "strategy.predictor.rows=9", *NO_STRATEGY, "+strategy=linas", "budget=4",
    ],
    "huge": [*FAST, "space.width_mult=1e6", "budget=2"],
    "signs": [*FAST, "run=runs/a;b=c"],
    "no main evaluator": ["~evaluator", *FAST],
    "null evaluator": ["evaluator=null", *FAST],
    "no proxies": ["evaluators.proxies=null", *FAST],
    "no limits": [*FAST, "constraints=null", "under=null"],
    "quiet": ["-q", *FAST],
    "flags first": ["--multirun", *FAST, "seed=0,1", "-q"],
    "flags last": [*FAST, "seed=2,3", "-q", "-m"],
    "flags between": [*FAST[:2], "-m", "-q", *FAST[2:], "seed=4,5"],
    "one metric, no list": ["objectives=macs", FAST[0], FAST[1], "budget=3", "also=params"],
}  # fmt: skip


def wrong() -> dict[str, list[str]]:
    """Name to the words of a command line that must be refused."""
    lines = {}
    for line in _SETTINGS.strip().splitlines():
        for word in _split(line):
            lines[word] = [*FAST, word]
    return {**lines, **_ALONE}


def _split(line: str) -> list[str]:
    """At single spaces, those within brackets kept."""
    words: list[str] = []
    for piece in line.split(" "):
        if words and words[-1].count("[") > words[-1].count("]") and "]" in piece:
            words[-1] += f" {piece}"
        else:
            words.append(piece)
    return words


def prepare(folder: Path) -> None:
    """What the lines name: a search, a folder of scores, an empty one, one without results, a file."""
    (folder / "empty").mkdir()
    (folder / "a_file").write_text("not a folder")
    config = "space: {}\ntask: null\nevaluators: {}\ntarget: top1\nseed: 0\n"
    for name in ("scores", "unmeasured"):
        (folder / name).mkdir()
        (folder / name / "config.yaml").write_text(config)


def fault(status: int, out: str, err: str) -> str | None:
    """What is wrong with an answer to a wrong command line; None where it is one clear line."""
    text = f"{out}\n{err}"
    if "Traceback" in text or UNFORESEEN in text:
        return "a traceback"
    if status == 0:
        return "taken for right"
    lines = [line for line in err.splitlines() if line.startswith("nasplug: ")]
    lines = lines or err.splitlines()  # of Hydra's --cfg
    if len(lines) != 1:
        return f"{len(lines)} lines of answer"
    if len(lines[0]) < 25 or len(lines[0].split()) < 5:
        return "too short to be clear"
    return None


def main(only: str = "") -> int:
    """Each line in a process of its own; prints what is wrong, and how many there were."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    lines, faults = wrong() | WORKS, 0
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        start = [sys.executable, "-m", "nasplug"]
        quiet = {"capture_output": True, "text": True, "check": False, "timeout": 300}
        subprocess.run([*start, *FAST, "run=searched"], cwd=folder, env=environment, **quiet)  # type: ignore[call-overload]
        for name, words in lines.items():
            if only not in name:
                continue
            done = subprocess.run([*start, *words], cwd=folder, env=environment, **quiet)  # type: ignore[call-overload]
            found = fault(done.returncode, done.stdout, done.stderr)
            if name in WORKS:
                found = None if done.returncode == 0 else "refused"
            if found:
                faults += 1
                print(f"{name}: {found}\n    {done.stderr.strip()}")
    print(f"{len(lines)} command lines, {faults} with faults")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
