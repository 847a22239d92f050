"""The machine that a pickle is a program for, with the instructions of plain data alone."""

from __future__ import annotations

import pickletools
import sys
from collections import OrderedDict
from collections.abc import Callable
from struct import Struct, error, unpack_from
from typing import Any, final

from nasplug_tables.readers.pickle_parts import (
    STAND_INS,
    Arguments,
    Dtype,
    Name,
    Unbuilt,
    call,
    hashable,
    plain,
    refused,
)

_OPCODES: dict[int, Callable[[Machine], None]] = {}

STOP, BINFLOAT, BININT1, SHORT_BINUNICODE = 0x2E, 0x47, 0x4B, 0x8C
MEMOIZE, BINGET, LONG_BINGET = 0x94, 0x68, 0x6A
_FLOAT, _NUMBER = Struct(">d").unpack_from, Struct("<I").unpack_from

_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}

CODE = ("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")
"""Instructions that make objects of any class."""

LONGEST_NUMBER = 1024
"""Bytes of an integer; to hash one takes time each time."""

SMALL, LEAST_ROOM, ROOM = 1024, 64 << 20, 16
"""What is built of what is there already may be larger than the first in bytes only until all of it
together is larger than the second, and the third times the pickle: one text in a pickle may be made
into any number of arrays."""


def _opcode(*codes: int) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def register(method: Callable[[Machine], None]) -> Callable[[Machine], None]:
        for code in codes:
            _OPCODES[code] = method
        return method

    return register


@final
class Machine:
    """Runs the instructions of one pickle (protocol 2 to 5) over a stack and a memo.

    Every length is checked before it is used, time and memory grow with the length of `data` alone,
    and what it returns holds plain data only. It raises NasplugError where the pickle could run code,
    and ValueError, EOFError, LookupError or TypeError where it is damaged.

    Args:
        data: the pickle.
        most: containers that it may make.
    """

    def __init__(self, data: bytes, most: int) -> None:
        self.data = data
        self.at = 0
        self.left = most
        self.room = LEAST_ROOM + ROOM * len(data)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What is on the stack when the pickle ends."""
        while (code := self._common()) != STOP:
            handler = _OPCODES.get(code)
            if handler is None:
                raise self._unknown(code)
            handler(self)
        result = self.stack.pop()
        plain([result])
        return result

    def _common(self) -> int:
        """Run numbers, short texts and the memo, 97 of 100 instructions in a benchmark's pickle, in one
        loop for speed; return the first other instruction."""
        data, at, stack, memo = self.data, self.at, self.stack, self.memo
        try:
            while True:
                code = data[at]
                at += 1
                if code == BINFLOAT:
                    stack.append(_FLOAT(data, at)[0])
                    at += 8
                elif code == MEMOIZE:
                    if type(top := stack[-1]) is Unbuilt:
                        top.places.append(len(memo))
                    memo[len(memo)] = top
                elif code == BININT1:
                    stack.append(data[at])
                    at += 1
                elif code == SHORT_BINUNICODE:
                    start, at = at + 1, at + 1 + data[at]
                    if at > len(data):
                        raise EOFError(f"it is cut off: a text must end at byte {at}")
                    stack.append(data[start:at].decode("utf-8", "surrogatepass"))
                elif code == LONG_BINGET:
                    stack.append(memo[_NUMBER(data, at)[0]])
                    at += 4
                elif code == BINGET:
                    stack.append(memo[data[at]])
                    at += 1
                else:
                    return code
        except (IndexError, error):
            raise EOFError("it is cut off, or empty") from None
        finally:
            self.at = at

    def _unknown(self, code: int) -> Exception:
        name = _NAMES.get(code)
        if name is None:
            return ValueError(f"it has no instruction at byte {self.at - 1}")
        if name in CODE:
            return refused(f"has the instruction {name}")
        return ValueError(
            f"it must be of protocol 2 to 5, but has {name}; write it anew with "
            "pickle.dump(value, file, protocol=4)"
        )

    # ---- numbers and texts ---------------------------------------------------------------------

    def _number(self, form: str, size: int) -> Any:
        """The next `size` bytes, as `struct` reads them."""
        (value,) = unpack_from(form, self._bytes(size))
        return value

    def _bytes(self, size: int) -> bytes:
        start, end = self.at, self.at + size
        if size < 0 or end > len(self.data):
            raise EOFError(f"it is cut off: {size:,} bytes must follow byte {start}")
        self.at = end
        return self.data[start:end]

    @_opcode(0x80)
    def _proto(self) -> None:
        if (protocol := self._bytes(1)[0]) > 5:
            raise ValueError(f"it must be of protocol 2 to 5, but is of {protocol}")

    @_opcode(0x95)
    def _frame(self) -> None:
        size = self._number("<Q", 8)
        if size > len(self.data) - self.at:
            raise EOFError(f"it is cut off: {size:,} bytes must follow byte {self.at}")

    @_opcode(ord("N"))
    def _none(self) -> None:
        self.stack.append(None)

    @_opcode(0x88)
    def _true(self) -> None:
        self.stack.append(True)

    @_opcode(0x89)
    def _false(self) -> None:
        self.stack.append(False)

    @_opcode(ord("M"))
    def _binint2(self) -> None:
        self.stack.append(self._number("<H", 2))

    @_opcode(ord("J"))
    def _binint(self) -> None:
        self.stack.append(self._number("<i", 4))

    @_opcode(0x8A)
    def _long1(self) -> None:
        self.stack.append(int.from_bytes(self._bytes(self._bytes(1)[0]), "little", signed=True))

    @_opcode(0x8B)
    def _long4(self) -> None:
        if (size := self._number("<i", 4)) > LONGEST_NUMBER:
            raise ValueError(f"a number must have at most {LONGEST_NUMBER} bytes, but has {size:,}")
        self.stack.append(int.from_bytes(self._bytes(size), "little", signed=True))

    @_opcode(ord("X"))
    def _binunicode(self) -> None:
        self.stack.append(self._bytes(self._number("<I", 4)).decode("utf-8", "surrogatepass"))

    @_opcode(0x8D)
    def _binunicode8(self) -> None:
        self.stack.append(self._bytes(self._number("<Q", 8)).decode("utf-8", "surrogatepass"))

    @_opcode(ord("U"))
    def _short_binstring(self) -> None:  # a str of Python 2
        self.stack.append(self._bytes(self._bytes(1)[0]).decode("latin1"))

    @_opcode(ord("T"))
    def _binstring(self) -> None:
        self.stack.append(self._bytes(self._number("<i", 4)).decode("latin1"))

    @_opcode(ord("C"))
    def _short_binbytes(self) -> None:
        self.stack.append(self._bytes(self._bytes(1)[0]))

    @_opcode(ord("B"))
    def _binbytes(self) -> None:
        self.stack.append(self._bytes(self._number("<I", 4)))

    @_opcode(0x8E)
    def _binbytes8(self) -> None:
        self.stack.append(self._bytes(self._number("<Q", 8)))

    @_opcode(0x96)
    def _bytearray8(self) -> None:
        self.stack.append(bytearray(self._bytes(self._number("<Q", 8))))

    # ---- containers ----------------------------------------------------------------------------

    def _push(self, container: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("it makes more containers than any benchmark has")
        self.stack.append(container)

    def _push_built(self, built: Any) -> None:
        if (size := sys.getsizeof(built)) > SMALL:
            self.room -= size
            if self.room < 0:
                raise ValueError("it makes more of its data than any benchmark does")
        self._push(built)

    def _marked(self) -> list[Any]:
        """Take what is on the stack since the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    @_opcode(ord("("))
    def _mark(self) -> None:
        self.marks.append(len(self.stack))

    @_opcode(ord("0"))
    def _pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    @_opcode(ord("1"))
    def _pop_mark(self) -> None:
        self._marked()

    @_opcode(ord(")"))
    def _empty_tuple(self) -> None:
        self.stack.append(())

    @_opcode(ord("t"))
    def _tuple(self) -> None:
        self._push_tuple(self._marked())

    @_opcode(0x85)
    def _tuple1(self) -> None:
        self._push_tuple([self.stack.pop()])

    @_opcode(0x86)
    def _tuple2(self) -> None:
        second, first = self.stack.pop(), self.stack.pop()
        self._push_tuple([first, second])

    @_opcode(0x87)
    def _tuple3(self) -> None:
        third, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._push_tuple([first, second, third])

    def _push_tuple(self, items: list[Any]) -> None:
        kind = tuple if STAND_INS.isdisjoint(map(type, items)) else Arguments
        self._push(kind(items))

    @_opcode(ord("]"))
    def _empty_list(self) -> None:
        self._push([])

    @_opcode(ord("l"))
    def _list(self) -> None:
        items = self._marked()
        plain(items)
        self._push(items)

    @_opcode(ord("a"))
    def _append(self) -> None:
        self._extend([self.stack.pop()])

    @_opcode(ord("e"))
    def _appends(self) -> None:
        self._extend(self._marked())

    def _extend(self, items: list[Any]) -> None:
        plain(items)
        self._top(list).extend(items)

    @_opcode(ord("}"))
    def _empty_dict(self) -> None:
        self._push({})

    @_opcode(ord("d"))
    def _dict(self) -> None:
        items = self._marked()
        self._push({})
        self._update(items)

    @_opcode(ord("s"))
    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    @_opcode(ord("u"))
    def _setitems(self) -> None:
        self._update(self._marked())

    def _update(self, items: list[Any]) -> None:
        plain(items)
        keys = items[::2]
        hashable(keys)
        self._top(dict, OrderedDict).update(zip(keys, items[1::2], strict=True))

    @_opcode(0x8F)
    def _empty_set(self) -> None:
        self._push(set())

    @_opcode(0x90)
    def _additems(self) -> None:
        items = self._marked()
        hashable(items)
        self._top(set).update(items)

    @_opcode(0x91)
    def _frozenset(self) -> None:
        items = self._marked()
        hashable(items)
        self._push(frozenset(items))

    def _top(self, *kinds: type) -> Any:
        """The container on top of the stack, which must be of one of `kinds`."""
        top = self.stack[-1]
        if type(top) not in kinds:
            raise ValueError(f"a {kinds[0].__name__} must be filled, but got {type(top).__name__}")
        return top

    # ---- the memo, and objects -------------------------------------------------------------------

    @_opcode(ord("q"))
    def _binput(self) -> None:
        self._keep(self._bytes(1)[0])

    @_opcode(ord("r"))
    def _long_binput(self) -> None:
        self._keep(self._number("<I", 4))

    def _keep(self, place: int) -> None:
        top = self.stack[-1]
        self.memo[place] = top
        if type(top) is Unbuilt:
            top.places.append(place)

    @_opcode(ord("c"))
    def _global(self) -> None:
        end = self.data.index(b"\n", self.at)
        last = self.data.index(b"\n", end + 1)
        module, name = self.data[self.at : end].decode(), self.data[end + 1 : last].decode()
        self.at = last + 1
        self.stack.append(Name(module, name))

    @_opcode(0x93)
    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Name(module, name))

    @_opcode(ord("R"))
    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._push_built(call(function, arguments))

    @_opcode(ord("b"))
    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack.pop()
        if type(target) is Unbuilt:
            built = target.build(state)
            for place in target.places:
                if self.memo.get(place) is target:
                    self.memo[place] = built
            self._push_built(built)
        elif type(target) is Dtype:
            target.set_state(state)
            self.stack.append(target)
        else:
            raise ValueError(f"only arrays have a state, but got one of {type(target).__name__}")
