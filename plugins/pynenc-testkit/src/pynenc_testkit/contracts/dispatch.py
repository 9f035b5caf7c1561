"""The contract of a dispatcher."""

from __future__ import annotations

from pynenc_testkit.contracts.awaiting import AwaitRules
from pynenc_testkit.contracts.interruptions import DispatcherInterruptionRules
from pynenc_testkit.contracts.races import DispatcherRaceRules
from pynenc_testkit.contracts.settling import LimitRules, SettleRules
from pynenc_testkit.contracts.submitting import ClaimRules, SubmitRules


class DispatcherContract(
    SubmitRules,
    ClaimRules,
    SettleRules,
    LimitRules,
    AwaitRules,
    DispatcherRaceRules,
    DispatcherInterruptionRules,
):
    """What joins queue and record does this; give `url`, `chokes` and a fixture `raw`."""
