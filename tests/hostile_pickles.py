"""Pickles that mean harm, each named by what it tries; as a script, reads them all in this process.

python hostile_pickles.py FOLDER    writes the corpus into FOLDER, reads every file, a line of JSON each

A file that would run something makes the file CANARY in FOLDER. Limits of memory and time hold for the
process, so that a file that breaks them ends it, and the last line says which one it was.
"""

import bz2
import contextlib
import json
import os
import pickle
import resource
import struct
import sys
import time
from pathlib import Path

import numpy as np

MEMORY, SECONDS = 3 << 30, 5
CANARY = "canary"

NONE, STOP, MARK, REDUCE, BUILD, EMPTY = b"N", b".", b"(", b"R", b"b", b")"


def text(value):
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def raw(value):
    return b"B" + struct.pack("<I", len(value)) + value


def number(value):
    return b"J" + struct.pack("<i", value)


def long(value):
    body = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(body)]) + body


def tuple_of(*parts):
    return MARK + b"".join(parts) + b"t"


def list_of(*parts):
    return MARK + b"".join(parts) + b"l"


def name(module, attribute):
    return b"c" + f"{module}\n{attribute}\n".encode()


def call(function, *arguments):
    return function + tuple_of(*arguments) + REDUCE


def whole(*parts):
    return b"\x80\x04" + b"".join(parts) + STOP


NDARRAY = name("numpy", "ndarray")
UNBUILT = call(
    name("numpy.core.multiarray", "_reconstruct"), NDARRAY, tuple_of(number(0)), raw(b"b")
)


def dtype(
    code, order="<", parts=(NONE, NONE, NONE), size=-1, align=-1, flags=0, more=(), version=3
):
    made = call(name("numpy", "dtype"), text(code), b"\x89", b"\x88")
    state = (number(version), text(order), *parts, number(size), number(align), number(flags))
    return made + tuple_of(*state, *more) + BUILD


def array(shape, kind, data, fortran=b"\x89", version=1):
    return UNBUILT + tuple_of(number(version), tuple_of(*shape), kind, fortran, data) + BUILD


def frombuffer(data, kind, *shape, order="C", more=()):
    function = name("numpy.core.numeric", "_frombuffer")
    return call(function, data, kind, tuple_of(*shape), text(order), *more)


F8 = dtype("f8")
POINTERS = dtype("O8", "|", flags=0)
OBJECTS = dtype("O8", "|", flags=63)
ADDRESSES = struct.pack("<4Q", 0x4141414141414141, 8, 1, 0xDEADBEEF)


def code(canary):
    """Files that run something where anything of theirs is called."""
    shell = f"touch {canary}"
    python = f"open({canary!r}, 'w')"
    system, evaluate = name("os", "system"), name("builtins", "eval")
    popen = name("subprocess", "Popen")
    stack_global = text("os") + text("system") + b"\x93"
    obj = MARK + system + text(shell) + b"o"
    return {
        "reduce_os_system": whole(call(system, text(shell))),
        "reduce_posix_system": whole(call(name("posix", "system"), text(shell))),
        "reduce_eval": whole(call(evaluate, text(python))),
        "reduce_exec_of_python_2": whole(call(name("__builtin__", "execfile"), text(canary))),
        "reduce_popen": whole(call(popen, list_of(text("touch"), text(canary)))),
        "reduce_open_for_writing": whole(call(name("io", "open"), text(canary), text("w"))),
        "reduce_getattr": whole(call(name("builtins", "getattr"), name("os", "path"), text("os"))),
        "reduce_import": whole(call(name("builtins", "__import__"), text("antigravity"))),
        "reduce_apply": whole(call(name("builtins", "map"), evaluate, list_of(text(python)))),
        "global_in_a_list": whole(list_of(system)),
        "global_alone": whole(system),
        "stack_global": whole(stack_global, tuple_of(text(shell)), REDUCE),
        "stack_global_of_no_text": whole(number(1), number(2), b"\x93"),
        "stack_global_of_a_list": whole(list_of(text("os")), text("system"), b"\x93"),
        "dotted_name": whole(text("numpy") + text("ndarray.tofile") + b"\x93"),
        "dotted_name_to_a_module": whole(text("collections") + text("abc.sys.modules") + b"\x93"),
        "dotted_module": whole(call(name("numpy.os", "system"), text(shell))),
        "module_of_its_own": whole(name("hostile_module_that_writes", "run")),
        "module_with_a_surrogate": whole(text("\ud800") + text("\ud800") + b"\x93"),
        "module_with_line_breaks": whole(text("os\nmore\n") + text("sys\ntem") + b"\x93"),
        "inst": b"(" + text(shell) + b"ios\nsystem\n.",
        "obj": whole(obj),
        "newobj": whole(popen, tuple_of(text(shell)), b"\x81"),
        "newobj_of_a_dictionary": whole(name("builtins", "dict"), EMPTY, b"\x81"),
        "newobj_ex": whole(popen, EMPTY, b"}", text("args"), text(shell), b"s", b"\x92"),
        "ext1": whole(b"\x82\x01"),
        "ext2": whole(b"\x83\x01\x00"),
        "ext4": whole(b"\x84\x01\x00\x00\x00"),
        "persistent_id": b"Pos.system\n.",
        "binary_persistent_id": whole(text(shell), b"Q"),
        "numpy_load_of_a_path": whole(call(name("numpy", "load"), text(canary))),
        "numpy_exec": whole(call(name("numpy.testing._private.utils", "runstring"), text(python))),
        "pandas_eval": whole(call(name("pandas", "eval"), text(python))),
        "torch_load": whole(call(name("torch", "load"), text(canary))),
        "codecs_of_bz2": whole(call(name("_codecs", "encode"), text("a"), text("bz2"))),
        "codecs_of_an_unknown_one": whole(call(name("_codecs", "encode"), text("a"), text(canary))),
        "codecs_lookup": whole(call(name("_codecs", "lookup"), text("latin1"))),
        "defaultdict_with_a_callable": whole(call(name("collections", "defaultdict"), system)),
        "defaultdict_with_a_list": whole(call(name("collections", "defaultdict"), b"]")),
        "class_that_survives_in_a_list": whole(list_of(name("builtins", "dict"))),
        "class_that_survives_as_a_key": whole(b"}", NDARRAY, NONE, b"s"),
        "class_that_survives_in_a_tuple": whole(tuple_of(tuple_of(NDARRAY))),
        "class_that_survives_in_a_set": whole(b"\x8f", MARK, NDARRAY, b"\x90"),
        "class_that_survives_alone": whole(name("numpy", "dtype")),
        "build_into_a_class": whole(
            name("collections", "OrderedDict"),
            tuple_of(NONE, b"}" + text("__setitem__") + evaluate + b"s"),
            BUILD,
        ),
        "build_into_an_ordered_dict": whole(
            call(name("collections", "OrderedDict")), b"}" + text("__class__") + NONE + b"s", BUILD
        ),
        "build_into_a_default_dict": whole(
            call(name("collections", "defaultdict")),
            tuple_of(NONE, b"}" + text("default_factory") + NONE + b"s"),
            BUILD,
        ),
        "build_into_a_list": whole(b"]", b"}" + text("append") + NONE + b"s", BUILD),
    }


def arrays():
    """Files that lie about the types, shapes and bytes of arrays."""
    fields = b"}" + text("a") + tuple_of(dtype("O8", "|"), number(0)) + b"s"
    overlapping = (
        b"}" + MARK + text("a") + tuple_of(F8, number(0)) + text("b") + tuple_of(POINTERS, number(4))
        + b"u"
    )  # fmt: skip
    huge = long(1 << 62)
    state = tuple_of(number(1), tuple_of(number(4)), POINTERS, b"\x89", raw(ADDRESSES))
    return {
        "bytes_as_pointers": whole(array([number(4)], POINTERS, raw(ADDRESSES))),
        "bytes_as_pointers_by_their_own_flags": whole(array([number(4)], OBJECTS, raw(ADDRESSES))),
        "bytes_as_pointers_from_a_buffer": whole(frombuffer(raw(ADDRESSES), POINTERS, number(4))),
        "bytes_as_pointers_from_a_text": whole(array([number(1)], POINTERS, text("a" * 8))),
        "bytes_as_a_pointer_of_a_scalar": whole(
            call(name("numpy.core.multiarray", "scalar"), POINTERS, raw(ADDRESSES[:8]))
        ),
        "scalar_with_an_object": whole(
            call(name("numpy.core.multiarray", "scalar"), OBJECTS, b"]")
        ),
        "scalar_without_bytes": whole(call(name("numpy.core.multiarray", "scalar"), F8)),
        "scalar_of_few_bytes": whole(
            call(name("numpy.core.multiarray", "scalar"), F8, raw(b"abc"))
        ),
        "type_with_fields": whole(
            array([number(4)], dtype("V8", "|", (NONE, tuple_of(text("a")), fields), 8, 1),
                  raw(ADDRESSES))
        ),
        "type_of_numbers_with_fields": whole(
            array([number(4)], dtype("f8", "<", (NONE, tuple_of(text("a")), fields)),
                  raw(ADDRESSES))
        ),
        "type_with_overlapping_fields": whole(
            array([number(4)], dtype("V8", "|", (NONE, tuple_of(text("a"), text("b")),
                                                 overlapping), 8, 1, 16), raw(ADDRESSES))
        ),
        "type_with_a_subarray": whole(
            array([number(1)], dtype("V8", "|", (tuple_of(POINTERS, tuple_of(number(4))), NONE,
                                                 NONE), 32, 1), raw(ADDRESSES))
        ),
        "type_with_a_subarray_of_itself": whole(
            call(name("numpy", "dtype"), text("f8")), b"q\x07",
            tuple_of(number(3), text("<"), tuple_of(b"h\x07", tuple_of(number(4))), NONE, NONE,
                     number(-1), number(-1), number(0)), BUILD,
        ),
        "type_with_a_negative_size": whole(array([number(4)], dtype("S8", size=-8), raw(ADDRESSES))),
        "type_with_a_huge_size": whole(
            array([number(4)], dtype("S8", "|", size=2**31 - 1), raw(ADDRESSES))
        ),
        "type_with_a_size_of_zero": whole(array([number(4)], dtype("S0", "|"), raw(b""))),
        "type_with_metadata": whole(
            array([number(4)], dtype("f8", more=(b"}" + text("a") + POINTERS + b"s",), version=4),
                  raw(ADDRESSES))
        ),
        "type_of_version_99": whole(array([number(4)], dtype("f8", version=99), raw(ADDRESSES))),
        "type_with_an_order_of_its_own": whole(
            array([number(4)], dtype("f8", "<f4,O"), raw(ADDRESSES))
        ),
        "type_with_a_short_state": whole(
            call(name("numpy", "dtype"), text("f8")), tuple_of(number(3), text("<")), BUILD
        ),
        "type_written_with_commas": whole(call(name("numpy", "dtype"), text("f8,O"))),
        "type_of_a_dictionary": whole(
            call(name("numpy", "dtype"), b"}" + text("names") + list_of(text("a")) + b"s")
        ),
        "type_of_a_class": whole(call(name("numpy", "dtype"), name("builtins", "list"))),
        "type_of_long_doubles": whole(array([number(2)], dtype("f16"), raw(ADDRESSES))),
        "type_of_times": whole(array([number(4)], dtype("M8"), raw(ADDRESSES))),
        "type_that_survives": whole(list_of(F8)),
        "array_of_few_bytes": whole(array([number(1000)], F8, raw(b"abc"))),
        "array_of_many_bytes": whole(array([number(1)], F8, raw(bytes(4096)))),
        "array_of_a_huge_shape": whole(array([huge, huge, huge], F8, raw(b""))),
        "array_of_a_shape_that_wraps_to_0": whole(array([long(1 << 61)], F8, raw(b""))),
        "array_of_a_negative_shape": whole(array([number(-1)], F8, raw(bytes(8)))),
        "array_of_two_negative_sides": whole(
            array([number(-1), number(-1)], F8, raw(bytes(8)))
        ),
        "array_of_nothing_with_a_huge_side": whole(array([number(0), huge], F8, raw(b""))),
        "array_of_a_thousand_sides": whole(array([number(1)] * 1000, F8, raw(bytes(8)))),
        "array_of_a_shape_of_floats": whole(
            array([b"G" + struct.pack(">d", float("nan"))], F8, raw(bytes(8)))
        ),
        "array_without_a_type": whole(array([number(1)], NONE, raw(bytes(8)))),
        "array_of_objects_too_few": whole(array([number(9)], OBJECTS, list_of(NONE))),
        "array_of_objects_from_a_class": whole(array([number(1)], OBJECTS, list_of(NDARRAY))),
        "array_of_objects_from_a_tuple": whole(array([number(1)], OBJECTS, tuple_of(NONE))),
        "array_of_numbers_from_a_list": whole(array([number(1)], F8, list_of(text("os")))),
        "array_by_columns_of_few_bytes": whole(
            array([number(9), number(9)], F8, raw(bytes(8)), b"\x88")
        ),
        "array_by_columns_of_a_list": whole(array([number(1)], F8, raw(bytes(8)), b"]")),
        "array_that_is_never_filled": whole(UNBUILT),
        "array_that_is_filled_twice": whole(UNBUILT, state, BUILD, state, BUILD),
        "array_with_itself_inside": whole(
            UNBUILT, b"q\x07",
            tuple_of(number(1), tuple_of(number(1)), OBJECTS, b"\x89", list_of(b"h\x07")), BUILD,
        ),
        "array_of_another_class": whole(
            call(name("numpy.core.multiarray", "_reconstruct"), name("builtins", "list"),
                 tuple_of(number(0)), raw(b"b"))
        ),
        "array_of_characters_beyond_the_last": whole(
            array([number(1)], dtype("U1", size=4), raw(b"\xff\xff\xff\xff"))
        ),
        "array_of_booleans_that_are_none": whole(
            array([number(4)], dtype("b1", "|"), raw(b"\x00\x02\xff\x01"))
        ),
        "buffer_of_a_huge_shape": whole(frombuffer(raw(b"abc"), F8, huge, huge)),
        "buffer_in_an_order_of_its_own": whole(frombuffer(raw(bytes(8)), F8, number(1), order="X")),
        "buffer_with_axes_that_are_none": whole(
            frombuffer(raw(bytes(8)), F8, number(1), order="K", more=(tuple_of(number(99)),))
        ),
        "buffer_from_outside": whole(b"\x97"),
        "memmap": whole(call(name("numpy.core.multiarray", "_reconstruct"),
                             name("numpy.core.memmap", "memmap"), tuple_of(number(0)), raw(b"b"))),
    }  # fmt: skip


def bombs():
    """Files that ask for more time or memory than there is."""
    nested = b"]" + b"q\x00" + b"".join(b"\x86q\x00h\x00" for _ in range(60))
    laughs = b")\x94" + b"h\x00" + b"".join(b"h%c\x86\x94" % i for i in range(60))
    megabyte = raw(bytes(1 << 20)) + b"q\x01"
    one = b"h\x01"
    shape = tuple_of(number(1 << 17))
    copies = b"".join(
        b"0" + call(name("numpy.core.numeric", "_frombuffer"), one, F8, shape, text("C"))
        for _ in range(10_000)
    )
    return {
        "lists_nested_a_million_times": whole(b"]" * 1_000_000 + b"a" * 999_999),
        "tuples_nested_a_million_times": whole(b")" + b"\x85" * 900_000),
        "marks_a_million_times": whole(MARK * 1_000_000),
        "containers_beyond_count": whole(MARK, b"\x8f" * 2_000_000, b"l"),
        "tuples_of_one_another": whole(laughs),
        "tuples_of_one_another_as_a_key": whole(b"}", laughs, NONE, b"s"),
        "tuples_of_one_another_in_a_set": whole(b"\x8f", MARK, laughs, b"\x90"),
        "tuples_of_one_another_as_a_name": whole(laughs, laughs, b"\x93"),
        "tuples_of_one_another_as_a_shape": whole(array([laughs], F8, raw(b""))),
        "tuples_that_hold_their_memo": whole(nested),
        "list_in_itself": whole(b"]q\x00h\x00a"),
        "dictionary_in_itself": whole(b"}q\x00", NONE, b"h\x00s"),
        "long_key_again_and_again": whole(
            b"}", MARK, NONE * 100_000, b"tq\x01", (b"h\x01N") * 100_000, b"s"
        ),
        "long_memo": whole(NONE, b"r\xff\xff\xff\x7f"),
        "long_memo_of_nothing": whole(b"r\xff\xff\xff\x7f"),
        "memo_that_is_not_there": whole(b"j\xff\xff\xff\x7f"),
        "long4_of_a_negative_length": whole(b"\x8b\xff\xff\xff\xff"),
        "long4_of_a_huge_length": whole(b"\x8b\xff\xff\xff\x7f"),
        "long4_of_a_million_bytes": whole(b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20)),
        "bytes_of_a_huge_length": whole(b"\x8e" + struct.pack("<Q", 1 << 62)),
        "bytes_of_four_gigabytes": whole(b"B\xff\xff\xff\xff"),
        "bytearray_of_a_huge_length": whole(b"\x96" + struct.pack("<Q", 1 << 40)),
        "text_of_a_huge_length": whole(b"\x8d" + struct.pack("<Q", (1 << 64) - 1)),
        "string_of_a_negative_length": whole(b"T\xff\xff\xff\xff"),
        "text_that_is_none": whole(b"\x8c\x02\xff\xfe"),
        "frame_of_a_huge_length": whole(b"\x95" + struct.pack("<Q", 1 << 62)),
        "digits_without_end": b"I" + b"9" * 1_000_000 + b"\n.",
        "digits_of_a_long": b"L" + b"9" * 1_000_000 + b"L\n.",
        "name_without_end": b"\x80\x02c" + b"a" * 1_000_000,
        "one_buffer_in_ten_thousand_arrays": whole(megabyte, NONE, copies),
        "one_text_encoded_again_and_again": whole(
            text("a" * (1 << 20)), b"q\x01", NONE,
            (b"0" + call(name("_codecs", "encode"), one, text("latin1"))) * 10_000,
        ),
    }  # fmt: skip


def damaged():
    """Files that are no pickle, or no longer one."""
    good = pickle.dumps({"a": np.arange(10.0), "b": ["x"] * 10}, 4)
    return {
        "empty": b"",
        "only_an_end": whole(),
        "only_a_protocol": b"\x80\x04",
        "protocol_255": b"\x80\xff.",
        "cut_in_half": good[: len(good) // 2],
        "cut_before_its_end": good[:-1],
        "a_bit_turned": bytes([*good[:30], good[30] ^ 255, *good[31:]]),
        "garbage": np.random.default_rng(0).bytes(5000),
        "zeros": bytes(5000),
        "a_text": b"architecture,top1\n[0],50.0\n",
        "opcode_that_is_none": whole(b"\xfe"),
        "protocol_0": pickle.dumps({"a": 1.5}, 0),
        "append_to_a_number": whole(number(1), NONE, b"a"),
        "items_of_odd_number": whole(b"}", MARK, NONE, b"u"),
        "list_as_a_key": whole(b"}", b"]", NONE, b"s"),
        "call_of_a_number": whole(number(1), EMPTY, REDUCE),
        "call_without_a_tuple": whole(name("builtins", "set"), NONE, REDUCE),
        "call_with_too_many_arguments": whole(call(name("builtins", "set"), *[NONE] * 9)),
        "ordered_dict_of_no_pairs": whole(
            call(name("collections", "OrderedDict"), list_of(number(1)))
        ),
        "state_of_nothing": whole(BUILD),
        "mark_that_is_not_there": whole(b"t"),
        "packed.pbz2": b"BZh9" + bytes(100),
        "packed_and_cut.pbz2": bz2.compress(good * 100)[:-20],
        "packed_bomb.pbz2": bz2.compress(bytes(1 << 27)),
        "packed_bomb_of_sets.pbz2": bz2.compress(whole(MARK, b"\x8f" * 10_000_000)),
        "packed_nothing.pbz2": b"",
    }


def corpus(canary):
    """File name to content; those whose name has no suffix are plain pickles."""
    every = code(canary) | arrays() | bombs() | damaged()
    return {n if "." in n else f"{n}.pickle": content for n, content in every.items()}


PLAIN = (bool, int, float, str, bytes, bytearray, type(None), np.ndarray, np.generic)
CONTAINERS = (list, tuple, set, frozenset, dict)


def is_plain(value):
    """Whether there is nothing but data in `value`, which may hold itself."""
    seen, waiting = set(), [value]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, CONTAINERS):
            waiting += [*part, *part.values()] if isinstance(part, dict) else part
        elif not isinstance(part, PLAIN):
            return False
        elif isinstance(part, np.ndarray) and part.dtype == object:
            waiting += part.ravel().tolist()
    return True


def read(path):
    """What reading one file came to."""
    from nasplug_tables.readers.safe_pickle import load

    from nasplug import NasplugError

    start = time.process_time()
    try:
        outcome = "plain" if is_plain(load(path)) else "not plain"
    except NasplugError as error:
        said = str(error)
        outcome = "refused" if path.name in said and said.isprintable() else f"unclear: {said!a}"
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}"
    seconds = time.process_time() - start
    return outcome if seconds < SECONDS else f"{seconds:.0f} s, {outcome}"


def main(folder):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    trap = folder / "hostile_module_that_writes.py"
    trap.write_text(f"open({str(folder / CANARY)!r}, 'w')\n")
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    for file, content in corpus(str(folder / CANARY)).items():
        print(json.dumps([file, "ended the process"]), flush=True)
        (folder / file).write_bytes(content)
        outcome = read(folder / file)
        with contextlib.suppress(FileNotFoundError):
            (folder / CANARY).unlink()
            outcome = f"ran something, {outcome}"
        print(json.dumps([file, outcome]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
