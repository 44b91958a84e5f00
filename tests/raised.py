"""Read out of the syntax trees what the program says where it refuses something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
ROOMS = ("dermpack", "trainer", "converter", "benchmarks")
HOLE = "…"  # what is known only when it happens
ARGUMENTS = ("where", "what", "cure")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "DermpackError": ARGUMENTS,
    "PictureError": ("where", "reason", "what", "cure"),
}
WORDS_OF = {  # their words become those of an error, whole
    ("trainer.decode", "WrongError"): ("what", "cure"),
    ("trainer.hdf5", "OddFileError"): ("what",),
}
FIXED = ("MissingExtraError",)  # it has a form of its own
MOST_FORMS = 32
MOST_STEPS = 4  # from name to name


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One place that makes an error; of each part every form that it can take, with holes."""

    file: str
    line: int
    where: tuple[str, ...]
    what: tuple[str, ...]
    cure: tuple[str, ...]

    @property
    def is_relayed(self) -> bool:
        """The words come from somewhere else, where they have a site of their own."""
        return all(form == HOLE for form in self.what)


@dataclass(slots=True, kw_only=True)
class Module:
    """What names mean in one file."""

    path: Path
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)  # name → module, name there


House = Mapping[str, Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an expression stands; `depth` is how many names were followed to get there."""

    module: Module
    house: House
    local: Mapping[str, Sequence[ast.expr]]
    depth: int = 0


Makers = Mapping[tuple[str, str], tuple[str, ...]]  # module, name → its parameters


def sites() -> tuple[Site, ...]:
    """Every place in the house, in the order of files and lines."""
    house = {_name(path): _module(path) for room in ROOMS for path in sorted((HOUSE / room).rglob("*.py"))}
    makers = _makers(house)
    found = [site for name in house for site in _sites(name, house, makers)]
    return tuple(sorted(found, key=lambda site: (site.file, site.line)))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")


def _module(path: Path) -> Module:
    made = Module(path=path, tree=ast.parse(path.read_text(encoding="utf-8")))
    for node in ast.walk(made.tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                made.imported[alias.asname or alias.name] = (node.module or "", alias.name)
    for statement in made.tree.body:
        made.constants.update(_assigned(statement))
    return made


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The names that one statement gives a value: `a = x`, `a, b = x, y`."""
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        if isinstance(statement.target, ast.Name):
            yield statement.target.id, statement.value
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _paired(target, statement.value)


def _paired(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=True):
            yield from _paired(one, other)


def _makers(house: House) -> Makers:
    """The error classes, and the functions that hand their words on to one; until nothing new is found."""
    makers = {("dermpack.errors", name): parameters for name, parameters in PARAMETERS.items()}
    makers.update(WORDS_OF)
    defined = [(name, node) for name in house for node in _defined(house[name].tree)]
    known = 0
    while known < len(makers):
        known = len(makers)
        for name, node in defined:
            parameters = _made_by(node, name, house, makers)
            if parameters and (name, node.name) not in makers:
                makers[name, node.name] = parameters
    return makers


def _defined(tree: ast.Module) -> list[ast.ClassDef | ast.FunctionDef]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and _returned(node))
    ]


def _returned(function: ast.FunctionDef) -> list[ast.Call]:
    """The calls whose result it hands on."""
    returns = (node.value for node in ast.walk(function) if isinstance(node, ast.Return))
    return [value for value in returns if isinstance(value, ast.Call)]


def _made_by(
    node: ast.ClassDef | ast.FunctionDef, name: str, house: House, makers: Makers
) -> tuple[str, ...] | None:
    """What must be given to have an error of it, or None where that gives none."""
    if isinstance(node, ast.FunctionDef):
        return tuple(of.arg for of in node.args.args) if _hands_on(node, name, house, makers) else None
    bases = (_maker(base, name, house, makers) for base in node.bases if node.name not in FIXED)
    return next((of for of in bases if of), None)


def _maker(called: ast.expr, name: str, house: House, makers: Makers) -> tuple[str, ...] | None:
    """The parameters of an error or of a function that makes one, by whatever way it was imported."""
    if not isinstance(called, ast.Name):
        return None
    module, there = name, called.id
    while there in house[module].imported and (module, there) not in makers:
        further = house[module].imported[there]
        if further[0] not in house:
            return None
        module, there = further
    return makers.get((module, there))


def _hands_on(function: ast.FunctionDef, name: str, house: House, makers: Makers) -> bool:
    """Whether it returns an error whose words are those that it was given."""
    own = {argument.arg for argument in function.args.args}
    for call in _returned(function):
        parameters = _maker(call.func, name, house, makers)
        words = _argument(call, parameters, "what") if parameters else None
        if isinstance(words, ast.Name) and words.id in own:
            return True
    return False


def _argument(call: ast.Call, parameters: Sequence[str], wanted: str) -> ast.expr | None:
    names = {"what": ("what", "problem"), "where": ("where",), "cure": ("cure",)}[wanted]
    given = dict(zip(parameters, call.args, strict=False))
    given.update({word.arg: word.value for word in call.keywords if word.arg})
    return next((given[name] for name in names if name in given), None)


def _sites(name: str, house: House, makers: Makers) -> Iterator[Site]:
    module = house[name]
    file = str(module.path.relative_to(HOUSE))
    for scope in _scopes(module.tree):
        if isinstance(scope, ast.FunctionDef) and (name, scope.name) in makers:
            continue  # its words are those of its callers
        place = Place(module=module, house=house, local=_locals(scope))
        for call in (node for node in _own(scope) if isinstance(node, ast.Call)):
            parameters = _maker(call.func, name, house, makers)
            if parameters:
                parts = {part: _forms(_argument(call, parameters, part), place) for part in ARGUMENTS}
                yield Site(file=file, line=call.lineno, **parts)


def _locals(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Everything that a name is given in the scope; the names of a module are its constants."""
    found: dict[str, list[ast.expr]] = {}
    if not isinstance(scope, ast.Module):
        for statement in (node for node in _own(scope) if isinstance(node, ast.stmt)):
            for target, value in _assigned(statement):
                found.setdefault(target, []).append(value)
    return found


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _own(child)


def _forms(node: ast.expr | None, place: Place) -> tuple[str, ...]:
    """Every text that the expression can be; a hole for what nobody knows before."""
    found = dict.fromkeys(_tidy(text) for text in _texts(node, place))
    return tuple(found)[:MOST_FORMS]


def _tidy(text: str) -> str:
    return re.sub(rf"{HOLE}(\s*{HOLE})+", HOLE, " ".join(text.split()))


def _texts(node: ast.expr | None, place: Place) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)] if isinstance(node.value, str | int) else [HOLE]
    if isinstance(node, ast.FormattedValue):
        return _texts(node.value, place)
    if isinstance(node, ast.JoinedStr):
        return ["".join(words) for words in product(*(_texts(of, place) for of in node.values))]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        both = (_texts(of, place) if _is_text(of) else [HOLE] for of in (node.left, node.right))
        return ["".join(words) for words in product(*both)]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, place), *_texts(node.orelse, place)]
    return _named(node.id, place) if isinstance(node, ast.Name) else [HOLE]


def _is_text(node: ast.expr) -> bool:
    """Not a number that is added to another one."""
    return not isinstance(node, ast.Constant) or isinstance(node.value, str)


def _named(wanted: str, place: Place) -> list[str]:
    """What a name stands for: in the function, in the file, in the file that it comes from."""
    if place.depth > MOST_STEPS:
        return [HOLE]
    further = replace(place, depth=place.depth + 1)
    if wanted in place.local:
        return [text for of in place.local[wanted] for text in _texts(of, further)]
    if wanted in place.module.constants:
        return _texts(place.module.constants[wanted], replace(further, local={}))
    name, there = place.module.imported.get(wanted, ("", ""))
    if name not in place.house:
        return [HOLE]
    return _named(there, replace(further, module=place.house[name], local={}))
