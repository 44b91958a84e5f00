"""The sentences that tell a measured figure, each with its source; and the numbers that measure nothing."""

from __future__ import annotations

POOLED, INT8 = "lesions-recipes-pooled", "lesions-int8-pooled"
RATES, COLD = "training-rates", "training-cold"
PTQ_ON_ARM = "arm-benchmark/agreements/model=int8-ptq,where.target=qemu:cortex-a72,where.runtime"
BY_NEW, BY_OLD = f"{PTQ_ON_ARM}=ai-edge-litert", f"{PTQ_ON_ARM}=tflite-runtime"  # both by XNNPACK
STUDY = "study-five/datasets/0/counts"


def _between(of: str, form: str = "points") -> str:
    return f"{{{of}/ci95/0|{form}}} to {{{of}/ci95/1|{form}}}"


def _lost(of: str, form: str) -> str:
    """A loss is a difference turned round, and so are the ends of its interval."""
    return f"{{{of}/difference|{form}}} ({{{of}/ci95/1|{form}}} to {{{of}/ci95/0|{form}}}"


# Each stands on a page word for word, after its figures are filled in.
CLAIMS = (
    "{lesions-dataset/counts|total} dermoscopic pictures",
    "its {lesions-default-0/n|count} test pictures",
    "n = {lesions-default-0/n|count} test pictures a split",
    f"the defaults are {{{POOLED}/balanced_accuracy/difference|points}} points of balanced accuracy better "
    f"({_between(f'{POOLED}/balanced_accuracy')}, paired, over lesions)",
    f"{{{POOLED}/auroc/difference|share}} of AUROC ({_between(f'{POOLED}/auroc', 'share')})",
    f"({{{POOLED}/accuracy/difference|points}} points, {_between(f'{POOLED}/accuracy')})",
    "has {lesions-default-0/per_class/df/n|count} test pictures",
    f"({{{INT8}/n|count}} pictures of {{{INT8}/groups|count}} lesions)",
    f"lost {_lost(f'{INT8}/balanced_accuracy', 'points_lost')}) points of balanced accuracy",
    f"{_lost(f'{INT8}/auroc', 'share_lost')}) of AUROC",
    f"with {{{INT8}/agreement|percent}} of the labels as before",
    "{arm-benchmark/data/n|count} of the test pictures: instructions",
    f"{{{BY_NEW}/differing|count}} of {{{BY_NEW}/outputs|count}} outputs of the PTQ file, a step apart",
    f"differ by up to {{{BY_OLD}/most|steps}} steps, and in {{{BY_OLD}/other_labels|count}} of "
    f"{{{BY_OLD}/n|count}} labels",
    f"{{{COLD}/share (a third or less)|two}} of the time",
    f"{{{COLD}/default recipe to that figure, s|whole}} s and {{{COLD}/the usual way, s|whole}} s",
    f"{{{RATES}/fine-tuning over bare step (0.95 or more), by the clock|two}} of the rate",
    f"{{{RATES}/boundary over whole (1.5 or more), by the clock|one}} times as fast",
    f"{{{RATES}/forward passes a head phase costs (1.5 or less), by the clock|one}} forward passes",
    "{lesions-minutes/default/0|whole} and {lesions-minutes/default/1|whole} minutes on "
    "{lesions-dataset/counts/train|total} training pictures",
    "the plain recipe {lesions-minutes/plain/0|whole} and {lesions-minutes/plain/1|whole} minutes",
    "the {recipe-effects/n|count} validation pictures",
    "is worth {recipe-effects/recipes/no-balance/minus_base/balanced_accuracy/difference|points_lost} points",
    f"{{{STUDY}/train|count}} to train on",
    f"{{{STUDY}/validation|count}} validated, {{{STUDY}/test|count}} tested on",
)

# A pattern → why what it matches is no measurement of ours. Each must be of use.
NO_MEASUREMENTS = {
    r"split seed 10\b": "how a split was asked for",
    r"\b95 %": "the confidence of every interval",
    r"\b2026-11-21\b": "the day of measuring and of reading about others",
    r"\bPython (below )?3\.\d+( to 3\.\d+)?|CPython 3[\d., and]+": "versions",
    r"\bDebian 12\b|TensorFlow 2\.21\.0|litert 2\.3\.0|runtime 2\.14\.0": "versions",
    r"CC BY-NC 4\.0": "a licence",
    r"Rosendahl, Kittler 2018": "the year of a paper",
    r"MobileNetV2 [01]\.\d+": "the width of a network",
    r"\b(96|160|184|192|224) px": "the side of a network's input",
    r"a file of 0\.7 MB.*? for 32 epochs": "what a recipe is for",
    r"split 70/15/15|seeds? \d( and \d|, \d and \d)?": "how a split was asked for",
    r"\b2 (virtual )?cores|\b1 thread": "the machine",
    r"head for 4 epochs, .* at 1e-4|frozen head, then the top 55 layers": "settings of the plain recipe",
    r"\| key \| values \| .*? beta distribution \|": "what an augmentation may be",
    r"rotation_degrees = 180 brightness = 0\.1": "an example of an augmentation",
    r"0\.35 to 1\.4": "the widths to choose from",
    r"\[-1, 1\]|scale 1/127\.5, zero point 127 or 128": "a network's input, which each conversion proves",
    r"with 3\.10\.13, 3\.12\.1 and 3\.13\.0": "versions",
    r"3 GB of disk space": "the size of an installation",
}
