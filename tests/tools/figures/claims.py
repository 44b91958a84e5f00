"""List the sentences with measured figures and their sources, and the numbers that need no source."""

from __future__ import annotations

POOLED, INT8 = "lesions-recipes-pooled", "lesions-int8-pooled"
RATES, COLD = "training-rates", "training-cold"
PTQ_ON_ARM = "arm-benchmark/agreements/model=int8-ptq,where.target=qemu:cortex-a72,where.runtime"
BY_NEW, BY_OLD = f"{PTQ_ON_ARM}=ai-edge-litert", f"{PTQ_ON_ARM}=tflite-runtime"  # both with XNNPACK
STUDY = "study-five/datasets/0/counts"


def _interval(path: str, form: str = "points") -> str:
    return f"{{{path}/ci95/0|{form}}} to {{{path}/ci95/1|{form}}}"


def _loss(path: str, form: str) -> str:
    """Return a difference as a loss: with the opposite sign, and the ends of its interval swapped."""
    return f"{{{path}/difference|{form}}} ({{{path}/ci95/1|{form}}} to {{{path}/ci95/0|{form}}}"


# Each sentence is on a page word for word, once its figures are filled in.
CLAIMS = (
    "{lesions-dataset/counts|total} dermoscopic pictures",
    "its {lesions-default-0/n|count} test pictures",
    "n = {lesions-default-0/n|count} test pictures a split",
    f"the defaults are {{{POOLED}/balanced_accuracy/difference|points}} points of balanced accuracy better "
    f"({_interval(f'{POOLED}/balanced_accuracy')}, paired, over lesions)",
    f"{{{POOLED}/auroc/difference|share}} of AUROC ({_interval(f'{POOLED}/auroc', 'share')})",
    f"({{{POOLED}/accuracy/difference|points}} points, {_interval(f'{POOLED}/accuracy')})",
    "has {lesions-default-0/per_class/df/n|count} test pictures",
    f"({{{INT8}/n|count}} pictures of {{{INT8}/groups|count}} lesions)",
    f"lost {_loss(f'{INT8}/balanced_accuracy', 'points_lost')}) points of balanced accuracy",
    f"{_loss(f'{INT8}/auroc', 'share_lost')}) of AUROC",
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

# Pattern → what the matched number is, which is no measurement. A pattern that matches nothing fails a test.
NO_MEASUREMENTS = {
    r"split seed 10\b": "the options of a split",
    r"\b95 %": "the confidence of every interval",
    r"\b2026-11-21\b": "the date of the measurements",
    r"\bPython (below )?3\.\d+( to 3\.\d+)?|CPython 3[\d., and]+": "versions",
    r"\bDebian 12\b|TensorFlow 2\.21\.0|litert 2\.3\.0|runtime 2\.14\.0": "versions",
    r"CC BY-NC 4\.0": "a licence",
    r"Rosendahl, Kittler 2018": "the year of a paper",
    r"MobileNetV2 [01]\.\d+": "the width of a network",
    r"\b(96|160|184|192|224) px": "the side of a network's input",
    r"a file of 0\.7 MB.*? for 32 epochs": "the purpose of a recipe",
    r"split 70/15/15|seeds? \d( and \d|, \d and \d)?": "the options of a split",
    r"\b2 (virtual )?cores|\b1 thread": "the machine",
    r"head for 4 epochs, .* at 1e-4|frozen head, then the top 55 layers": "settings of the plain recipe",
    r"\| key \| values \| .*? beta distribution \|": "the allowed values of an augmentation",
    r"rotation_degrees = 180 brightness = 0\.1": "an example of an augmentation",
    r"0\.35 to 1\.4": "the widths to choose from",
    r"\[-1, 1\]|scale 1/127\.5, zero point 127 or 128": "a network's input, which each conversion checks",
    r"with 3\.10\.13, 3\.12\.1 and 3\.13\.0": "versions",
    r"3 GB of disk space": "the size of an installation",
}
