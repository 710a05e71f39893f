"""Files, functions and argument lists stay small, and names say something."""

import ast
import re

FILE_LINES, FUNCTION_LINES, LOOP_LINES, ARGUMENTS, VERB_LINES = 500, 60, 100, 6, 80
THE_LOOP = ("mmkrl.train.loop", "fit")
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers"}


def length(node):
    return node.end_lineno - node.lineno + 1


def arguments(function):
    given = function.args
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]


def words(name):
    """The words of a name in snake case or camel case, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_files(modules):
    long = [f"{m.path}: {m.lines} lines" for m in modules if m.lines > FILE_LINES]
    assert not long, "\n".join(["", *long])


def test_functions(modules):
    long = [
        f"{module.path}:{function.lineno} {function.name}: {length(function)} lines"
        for module in modules
        for function in module.functions()
        if length(function)
        > (LOOP_LINES if (module.name, function.name) == THE_LOOP else FUNCTION_LINES)
    ]
    assert not long, "\n".join(["", *long])


def test_the_loop_is_there(modules):
    (loop,) = [module for module in modules if module.name == THE_LOOP[0]]
    assert THE_LOOP[1] in {function.name for function in loop.functions()}


def test_arguments_of_public_functions(modules):
    """Constructors may take more: a setting each."""
    many = [
        f"{module.path}:{function.lineno} {function.name}: {len(arguments(function))} arguments"
        for module in modules
        for function in module.functions()
        if not function.name.startswith("_") and len(arguments(function)) > ARGUMENTS
    ]
    assert not many, "\n".join(["", *many])


def test_verbs_are_thin(modules):
    """A verb is a job's entry point: the module that makes an ``app``."""
    verbs = [
        module
        for module in modules
        if module.package == "jobs"
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "app" for target in node.targets)
    ]
    assert len(verbs) >= 4
    long = [f"{verb.path}: {verb.lines} lines" for verb in verbs if verb.lines > VERB_LINES]
    assert not long, "\n".join(["", *long])


def test_names_say_something(modules):
    named = [(module.path, part) for module in modules for part in module.name.split(".")]
    named += [
        (f"{module.path}:{node.lineno}", node.name)
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    empty = [f"{where}: {name}" for where, name in named if words(name) & EMPTY_NAMES]
    assert not empty, "\n".join(["", *empty])


def test_libraries_do_not_print(modules):
    prints = [
        f"{module.path}:{node.lineno}"
        for module in modules
        if module.package in {"mmkrl", "cluster"}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not prints, "\n".join(["", *prints])
