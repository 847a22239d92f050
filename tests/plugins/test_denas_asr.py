"""The space `denas_asr`, its networks and super-network."""

import numpy as np
import pytest
import torch
from nasplug_denas.asr.layers import FrontEnd, Positions
from nasplug_denas.asr.space import DenasAsr

from nasplug import NasplugError, make, seeded
from nasplug.testing import SpaceContract, SuperNetworkContract


def small(**changes):
    sizes = dict(
        mels=8,
        vocabulary=12,
        layers=(1, 2),
        mlp_ratio=(1.0, 2.5),
        heads=(2, 4),
        width=(16, 8),
        decoder_layers=1,
        decoder_heads=2,
        decoder_ffn=10,
        channels=3,
        kernel_sizes=(3, 5, 1),
        dropout=0.1,
        frames=18,
        tokens=5,
    )
    return DenasAsr(**{**sizes, **changes})


CLASSES = dict(vocabulary=None, num_classes=4)


class TestSmall(SpaceContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small()


class TestClasses(SpaceContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small(**CLASSES)


class TestElastic(SuperNetworkContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small()


class TestElasticWithoutDecoder(SuperNetworkContract):
    params = "params_all"

    @pytest.fixture
    def space(self):
        return small(decoder_layers=0)


# ---- known answers -----------------------------------------------------------------------------

PUBLISHED = {
    (5, 3, 5, 4, 5, 3, 3, 3, 3, 4, 2, 216): 11_750_592,
    (5, 4.5, 4.5, 4, 4.5, 3, 3, 3, 3, 4, 2, 216): 11_797_356,
}


def test_the_published_space():
    space = DenasAsr()
    assert space.variables == make("space", "denas_asr_published").variables
    assert space.size == 834_083_600_400_000 == 6 * sum(15**depth for depth in range(5, 13))
    for candidate, params in PUBLISHED.items():
        assert space.costs([space.from_denas(candidate)])["params"].tolist() == [params]
    extremes = space.costs([space.smallest, space.largest])["params"]
    assert extremes.tolist() == [9_579_072, 56_410_500]


def test_published_parameters_are_those_of_the_network():
    """Without the front-end and the output layers."""
    space = DenasAsr()
    candidate, params = next(iter(PUBLISHED.items()))
    network = space.build(space.from_denas(candidate))
    left_out = (network.front_end, network.head, network.decoder["output"])
    others = sum(p.numel() for module in left_out for p in module.parameters())
    every = sum(p.numel() for p in network.parameters())
    assert every - others == params
    assert space.costs([space.from_denas(candidate)])["params_all"][0] == every


def test_tuples_of_denas_and_back():
    space = DenasAsr()
    for arch in map(tuple, space.sample(50, np.random.default_rng(0)).tolist()):
        candidate = space.to_denas(arch)
        assert len(candidate) == 2 * candidate[0] + 2
        assert space.from_denas(candidate) == arch
    assert space.to_denas(space.from_denas(next(iter(PUBLISHED)))) == next(iter(PUBLISHED))


def test_heads_divide_the_width_of_every_architecture():
    space = DenasAsr()
    for arch in space.sample(200, np.random.default_rng(0)).tolist():
        candidate = space.to_denas(tuple(arch))
        assert not any(candidate[-1] % heads for heads in candidate[1 + candidate[0] : -1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.from_denas(()), "a candidate must be the depth"),
        (lambda s: s.from_denas((2, 1.0, 2, 2, 16)), "a candidate must be the depth"),
        (lambda s: s.from_denas((3, 1, 1, 1, 2, 2, 2, 16)), "layers must be one of"),
        (lambda s: s.from_denas((1, 7, 2, 16)), "mlp_ratio must be one of"),
        (lambda s: s.from_denas((1, 1, 2, 15)), "width must be one of"),
        (
            lambda s: small(heads=(3,)),
            "heads must divide every width, but 3 heads do not divide 16",
        ),
        (lambda s: small(decoder_heads=16), "but 16 heads do not divide 8"),
        (lambda s: small(width=(8, 8)), "must be distinct"),
        (lambda s: small(num_classes=3), "leave one of them out"),
        (lambda s: small(strides=(2,)), "an entry for each block"),
        (lambda s: small(kernel_sizes=(4, 3, 1)), "must be odd, but got 4"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(call, message):
    with pytest.raises(NasplugError, match=message) as error:
        call(small())
    assert "\n" not in str(error.value)


# ---- networks ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A super-network with weights that say something about every token."""
    with seeded(3):
        network = small().supernet()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


def archs(space, n):
    drawn = space.sample(n, np.random.default_rng(2)).tolist()
    return [space.largest, space.smallest, *map(tuple, drawn)]


@torch.no_grad()
def test_padding_never_matters(trained):
    space = small()
    features, _, tokens = space.example_inputs(2)
    for arch in archs(space, 4):
        network = trained.extract(arch).eval()
        for length in (18, 17, 14, 7):
            alone = network(features[:1, :length], torch.tensor([length]), tokens[:1])
            longer = features.clone()
            longer[0, length:] = 9.0  # whatever is behind a recording
            ctc, frames, decoded = network(longer, torch.tensor([length, 18]), tokens)
            assert int(frames[0]) == alone[0].shape[1] == (length + 3) // 4
            torch.testing.assert_close(ctc[:1, : frames[0]], alone[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(decoded[:1], alone[2], atol=1e-5, rtol=0)


@torch.no_grad()
def test_decoding_token_by_token_equals_the_whole(trained):
    """Three hypotheses of each of two recordings, one of them shorter."""
    space = small()
    features, _, _ = space.example_inputs(2)
    frames = torch.tensor([18, 9])
    targets = torch.randint(1, 12, (2, 3, 6), generator=torch.Generator().manual_seed(0))
    for arch in archs(space, 4):
        network = trained.extract(arch).eval()
        memory, cache, found = network.encode(features, frames), None, []
        for t in range(6):
            logits, cache = network.decode(targets[:, :, t], memory, cache)
            found.append(logits)
        for k in range(3):
            expected = network(features, frames, targets[:, k])[2]
            together = torch.stack(found, 2)[:, k]
            torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_is_heard_does_not_depend_on_what_was_said(trained):
    space = small()
    features, frames, tokens = space.example_inputs(2)
    network = trained.extract(space.largest).eval()
    one, other = network(features, frames, tokens), network(features, frames, tokens.flip(1))
    assert torch.equal(one[0], other[0]) and not torch.equal(one[2], other[2])
    changed = tokens.clone()
    changed[:, 3] = 11 - changed[:, 3]
    later = network(features, frames, changed)[2]
    assert torch.equal(later[:, :3], one[2][:, :3])  # no token sees later ones
    assert not torch.equal(later[:, 3:], one[2][:, 3:])


@torch.no_grad()
def test_classes_are_of_the_mean_frame():
    space = small(**CLASSES)
    network = space.build(space.largest).eval()
    features, frames = space.example_inputs(2)
    assert network(features, frames).shape == (2, 4)
    found = network(features, torch.tensor([18, 10]))[1:]
    expected = network(features[1:, :10], torch.tensor([10]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_front_end_has_a_quarter_of_the_frames_and_bands():
    front = FrontEnd(80, 64, (5, 5, 1), (2, 2, 1))
    out, frames = front(torch.randn(2, 41, 80), torch.tensor([41, 20]))
    assert out.shape == (2, 11, 1280) == (2, 11, front.features)
    assert frames.tolist() == [11, 5] and (out[1, 5:] == 0).all()


def test_positions_are_sines_and_cosines_in_turn():
    positions = Positions(16)
    found = positions(torch.zeros(1, 5, 16))[0]
    for place in range(5):
        for column in range(0, 16, 2):
            angle = place / 10_000 ** (column / 16)
            assert found[place, column] == pytest.approx(np.sin(angle), abs=1e-5)
            assert found[place, column + 1] == pytest.approx(np.cos(angle), abs=1e-5)
    assert torch.equal(positions(torch.zeros(1, 5, 10))[0], found[:, :10])
    assert torch.equal(positions(torch.zeros(1, 2, 16), start=3)[0], found[3:])


def test_fresh_weights_are_drawn_as_published():
    space = small(width=(256,), layers=(1,), heads=(4,), mlp_ratio=(2.0,))
    with seeded(0):
        network = space.supernet().model.requires_grad_(False)
    layer = network.encoder[0]
    cross = network.decoder["layers"][0].cross_attention
    for weight in (layer.self_attention.in_proj.weight, cross.q_proj.weight):
        assert weight.std() == pytest.approx((2 / (256 + 3 * 256)) ** 0.5, rel=0.02)
    assert layer.mlp.fc1.weight.std() == pytest.approx((2 / (256 + 512)) ** 0.5, rel=0.02)
    assert layer.self_attention.in_proj.bias.abs().max() == 0


# ---- with the task -------------------------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["ctc", "attention"])
def test_it_fits_the_task_speech(decoding):
    knobs = dict(sequences=8, fixed_sequences=4, mels=8, decoding=decoding, beam=2)
    task = make("task", "speech", **knobs)
    space = small(**task.network_dimensions)
    with seeded(0):
        network = space.build(space.largest)
    batch = next(task.train_batches(400, 0))
    before = float(task.loss(network, batch).detach())
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(15):
        optimizer.zero_grad()
        loss = task.loss(network, batch)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.8 * before
    assert set(task.quality(network.eval(), task.metrics)) == {"wer", "loss"}


def test_attention_needs_a_decoder():
    task = make("task", "speech", sequences=8, fixed_sequences=4, mels=8, decoding="attention")
    space = small(**task.network_dimensions, decoder_layers=0)
    with pytest.raises(NasplugError, match=r"type task.decoding=ctc"):
        task.quality(space.build(space.smallest).eval(), ["wer"])


def test_it_names_recordings():
    task = make("task", "speech", answers="labels", mels=8)
    space = small(vocabulary=None, **task.network_dimensions)
    network = space.build(space.smallest).eval()
    assert set(task.quality(network, task.metrics)) == {"top1", "loss"}
