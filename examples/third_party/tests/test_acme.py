"""The suites that nasplug ships, on the parts of this plug-in."""

import pytest
from nasplug_acme.proxy import AcmeSignal
from nasplug_acme.space import AcmeSpace

from nasplug.testing import ProxyContract, SpaceContract


class TestAcmeSpace(SpaceContract):
    @pytest.fixture
    def space(self):
        return AcmeSpace(num_classes=3, widths=[4, 8])


class TestAcmeSignal(ProxyContract):
    @pytest.fixture
    def proxy(self):
        return AcmeSignal()
