"""The contract of a state backend."""

from __future__ import annotations

from pynenc_testkit.contracts.acquiring import AcquireRules
from pynenc_testkit.contracts.agreement import BeatRules, HolderRules, LeaseRules, RequestRules
from pynenc_testkit.contracts.interruptions import StateInterruptionRules
from pynenc_testkit.contracts.keeping import IsolationRules, PayloadRules, UpkeepRules, ValueRules
from pynenc_testkit.contracts.listing import FindRules, HistoryRules
from pynenc_testkit.contracts.races import StateRaceRules
from pynenc_testkit.contracts.records import RecordRules
from pynenc_testkit.contracts.swaps import MarkRules, SwapRules
from pynenc_testkit.contracts.watching import WatchRules


class StateContract(
    RecordRules,
    SwapRules,
    MarkRules,
    AcquireRules,
    FindRules,
    HistoryRules,
    PayloadRules,
    ValueRules,
    UpkeepRules,
    IsolationRules,
    BeatRules,
    RequestRules,
    LeaseRules,
    HolderRules,
    WatchRules,
    StateRaceRules,
    StateInterruptionRules,
):
    """What every state backend does; give `url`, `chokes` and a fixture `raw`."""
