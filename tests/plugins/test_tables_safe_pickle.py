"""Pickles that mean harm are refused, and those of benchmarks load as they were written."""

import base64
import json
import pickle
import pickletools
import subprocess
import sys
import zlib
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hostile_pickles import corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nasplug_tables.readers import safe_pickle
from nasplug_tables.readers.safe_pickle import load

from nasplug import NasplugError

TESTS = Path(__file__).parents[1]
HOSTILE = sorted(corpus("canary"))
HARMLESS = {
    "array_by_columns_of_a_list.pickle",
    "array_of_booleans_that_are_none.pickle",
    "dictionary_in_itself.pickle",
    "list_in_itself.pickle",
    "lists_nested_a_million_times.pickle",
    "long_memo.pickle",
    "tuples_nested_a_million_times.pickle",
    "tuples_of_one_another.pickle",
}
"""Those that are odd but hold data alone."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """File to what reading it came to, in one process with limits of memory and time."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, str(TESTS / "hostile_pickles.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = dict(map(json.loads, done.stdout.splitlines()))
    assert found, done.stderr
    return found


@pytest.mark.parametrize("file", HOSTILE)
def test_hostile_pickles_are_refused(outcomes, file):
    assert outcomes.get(file) == ("plain" if file in HARMLESS else "refused")


def test_there_are_many_hostile_pickles():
    assert len(set(corpus("canary").values())) >= 67


def same(a, b):
    """Whether two values are equal, of the same types, arrays in the same layout."""
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        alike = (a.dtype, a.shape, a.flags.f_contiguous) == (b.dtype, b.shape, b.flags.f_contiguous)
        if a.dtype == object:
            return alike and all(map(same, a.ravel().tolist(), b.ravel().tolist()))
        return alike and a.tobytes() == b.tobytes() and b.flags.writeable
    if isinstance(a, defaultdict):
        a = dict(a)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def read(path, content):
    path.write_bytes(content)
    return load(path)


VALUE = {
    "f": np.arange(3.0),
    "F": np.asfortranarray(np.arange(4, dtype=">i2").reshape(2, 2)),
    "s": np.float32(1.5),
    "t": np.array(["ab", "c"]),
    "S": np.array([b"ab"]),
    "b": np.array([True, False]),
    "n": np.zeros(0),
    "o": np.array([1, "a", None], object),
    "d": OrderedDict(a=np.int64(3)),
    "z": np.array(2.0),
}
NUMPY_1 = {
    2: (
        "c-nQ7c~{dw6vfjNu*MB{ao;U2RVr##q^N*OwCF>$E?AQ^m|#h{$y6<Z@=pu>Hhu>`n9j?h=LqJUB$Jbw"
        "`@8qen-z5#O17L*6lE4E%WKRpG;>znw{!E2ns5!@H=0_-x2?Jt2)|(o4Qez?^QzHbq;;i*E~{eItF{$r"
        "w#Nev-Jz<9o^p?T*9_r$1K89?hOl`R8evOTPwD9vw#I^0(Oi)0wv|<OQ^5Al+A4Msdb4^u)EdIhQmHiY"
        "OJ3naR|IyM9jCk8r~G^U{85ZYBiQXo>>k2ifqiDEG>-j_>V(D*IMPiY;UK$Fb+wH{PGrH&<1kw|LO7aO"
        "7{;-67LJ>1(n2PpsY*&o;{+2=5>5%6j)(!y{HMBsWz-B`!`T=+JBV|P%@X=0)>)tVyeWCzQOuPhE->sO"
        ";Zhqp!sQSra3u*izyb4wt6{(v24l{29@m(2op2-J=o!6B&j=L4s`koR2JfM~t+<-F$+TO9+X6#Tv?<(4"
        "Si{UJ5=NMnYT<6on#$uIv+ff{lTt2WjESn8DeaDjM4oGyc)*N@ghv7sX52=4!g$P#CxlX*XEJ7(19-}e"
        "X9VIrW9#ZR^@ovC@SGXbgckxYBZh}^!g$4u*Mv9Bkl$~e-i}qNm<?BMn^&o5W>eUKhM9iCJAq0hP{;d3"
        "z+eHBV8uONjZID#V6(|t!iNn^76lx$GXqyH3ndNAm282J5ul2iWz}mn+Y+ukklLhQwSBuf>higqmtH()"
        "&Pn>nEuhY*1p+qiBj1esHl1v4z(o;+MjM|9pM#LPh%ZU3CdXPNe3kzCWljF}eRR^6c>OZro4|Lok^2oy"
        "^H6p"
    ),
    3: (
        "c-nQ7Yjcx86owawidePY>;0~YmuO?vRBKbERxL_&V>MN4Wq}Azn)D@`4{>zHFG-t!<xlb-=q?v$oK$9D"
        "U^x3c?>P%UwC^DKx<UwPKyh2$we?=nZAX4_t=r_G6GcwXSdDzQ-RkhD>v98XQf0Kf<SjId^pP_ahHV?z"
        "PO&3zDVElUo)&t%x9%I*Sy!c{3}d*tfn5}1c}t7UGuUn0_Tq1G#21Tj>|sN5g8Xy*s-!n_*vm1_;<XFd"
        "7pOrTVSga}2Ph6oziO!i910R?Si)f`Jwh>&NoR3%M0$*En!0$W5`}0u&T%4<ba3)Nqv^O#(}@h6N==O^"
        "oR+3D6laAg7;WqvGjoLetl<0r7bq^q0**^r7nfxhd5S{ZMITpE@=^&`CHWe~^^9!kR?gBniegyfjwoW{"
        "bkix}2FJ}Le+`ovz9jLtD5fM{>Em{aua$5|;_p(Fvk`s6w3Mi#QY5@5B&x%3pJOJ$GCatzvl3gOm`hVX"
        "OtEYdk0jQln3t)iN9OTZVike~jwcDWg{K+znZzzqSQ0Cqp9f<@li&r1oz%8b&1zrD+E)}b{rqZaglZYD"
        "WrQV)H(NxgaJ*&171YJD80lcy_Bq}q0uS$9x7}>|E)T^&U{oW|k9==Fl)u7<0>w(O9Avv6mhn-lRw+Jh"
        "z55O`buHT<Hh@dvbz;$1_*o|n*~w>$Ktw9Yj`hDEe#r5Kb&G!h%{Lu7"
    ),
    4: (
        "c-n=M%SyvQ6ozM#)J7ChLGS@ww3~v(MHga(hzkQLw78U#TbV$blu5FvD7a~DVRk*fkB{UV=*%R=)~0wM"
        "A;bLn&VMd%+6PjRj8|wdJOp+Y=cDnY<s~#|jq)f99ZH=Eu)_fjyd+LDntK^6fz_lCSUvU&$r3Cy1rxjQ"
        "4n1gC*ixrJYOLmGlW`z^QHC8@%!^x<;cKvM`{A31d|4<1cVV8RjrcOkk6Yl^4BrFMNL^$i`>Q;PrObdF"
        "F(quT^KUBnb5rLm1!1HXycCGS_EOJ@9LhZk%JAx!LQc0CriRd`0W+>(IIHqAm7K@+AC9G4nx)Gsj~#Bq"
        "<&RgESGeg{&~QQPZ`Af8YU73DvTKUt76f;<ANO+2k5Sco1(!bJ3W_+KEX-1oR4CLUPq(u>k0J6r2{pqG"
        "*nwpEzz)15iUKbS`HJyVm-+z>{JT)@TC)daKrZBjJO9i^S62-c^GO+g-Zt74b?EDRmA8HXofaEU"
    ),
    5: (
        "c-n=M&r1S96vt<F)fN;AA?Ola^&%t%9wGyyLkkK@bPCxYv&_P}E936LDCnXk%*~g7Pk&PXLCwr+t7bGX"
        "J2UKipZERFo0t5%rXw|;p~A5Tyc{Nj;kf2RjMT)IFy8@Q?0YO4*oo&626Lz^j?k|0*<5a}faeuQtZqCW"
        "5|P9;uK}~SSLi~;)H%L@cDsH1C5HN#C<fcqC%|zFViCmg4bWU=VPt#_VWa~!xaQZ_QJ1?=nyF2JmQ&OS"
        "_~DwdK@!Bi#h4`o7DkR0SkjgRduJJ#mVRSfIfOo%Fjdr82|QS;v&6K;be3nuyQ^>UOvB8Xh7vddx}VDH"
        "DUh}T*($ZS;qgg&6sB<M4rj^sMlw$8+NW!E&v#u<1_%`Z{m3qwDEk=!J?5o8BTf{KVwO0uyr}};3*Gbr"
        "=ODvdLPlB+%O*+*oyOl1nnJ?tK}K_IL7Rvp$F6v2P80;hiG5K_oI1=UjJVgns#@&=y{9Lt|BZjzWauk9"
        "vQ;CFAGaS<`c7%FnmSEt--O8!H~"
    ),
}
"""VALUE as numpy 1.26.4 pickled it, by protocol; compressed."""


@pytest.mark.parametrize("protocol", NUMPY_1)
def test_arrays_of_numpy_1(protocol, tmp_path):
    content = zlib.decompress(base64.b85decode(NUMPY_1[protocol]))
    assert same(VALUE, read(tmp_path / "a.pickle", content))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_this_numpy(protocol, tmp_path):
    more = {
        "shared": [VALUE["f"], VALUE["f"]],
        "default": defaultdict(list, a=[1]),
        "sets": [set("ab"), frozenset((1, 2)), set()],
        "bytes": [b"", b"\xff\x00", bytearray(b"a"), bytearray()],
        "numbers": [0, -1, 255, 2**16, 2**31, -(2**40), 2**100, 1.5, float("nan"), True, None],
        "texts": ["", "ä", "\ud800", "x" * 300],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "turned": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        ("cifar10", 777): {0: 1, None: 2, 1.5: 3, b"a": 4, True: 5},
    }
    back = read(tmp_path / "a.pickle", pickle.dumps({**VALUE, **more}, protocol))
    assert same({**VALUE, **more}, back)
    assert back["shared"][0] is back["shared"][1]
    assert same(VALUE, read(tmp_path / "b.pickle", pickletools.optimize(pickle.dumps(VALUE, 5))))


KINDS = st.sampled_from(("?", "i1", "u2", ">i4", "i8", "f2", ">f4", "f8", "S3", "U2", ">U4"))
ARRAYS = KINDS.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0)))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS | ARRAYS | ARRAYS.map(np.asfortranarray),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.tuples(st.text(), st.integers()), inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(value=VALUES, protocol=st.integers(2, 5))
def test_data_load_as_written(value, protocol, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.pickle"
    assert same(value, read(path, pickle.dumps(value, protocol)))


@settings(max_examples=300, deadline=None)
@given(change=st.tuples(st.integers(0, 10_000), st.integers(1, 255)), protocol=st.integers(2, 5))
def test_a_changed_byte_gives_data_or_one_line(change, protocol, tmp_path_factory):
    content = bytearray(pickle.dumps(VALUE, protocol))
    content[change[0] % len(content)] ^= change[1]
    try:
        read(tmp_path_factory.getbasetemp() / "changed.pickle", bytes(content))
    except NasplugError as error:
        assert "changed.pickle" in str(error) and str(error).isprintable()


def test_a_folder_is_no_pickle(tmp_path):
    with pytest.raises(NasplugError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("raised", [MemoryError, RecursionError, LookupError("odd")])
def test_whatever_reading_raises_is_one_line(raised, tmp_path, monkeypatch):
    def fail(*_):
        raise raised

    monkeypatch.setattr(safe_pickle, "Machine", fail)
    with pytest.raises(NasplugError, match=r"a\.pickle must be a pickle, but cannot be read: "):
        read(tmp_path / "a.pickle", pickle.dumps(1))
