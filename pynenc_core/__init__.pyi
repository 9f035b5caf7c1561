from pynenc_core.app import Pynenc as Pynenc
from pynenc_core.builder import PynencBuilder as PynencBuilder
from pynenc_core.errors.base import PynencError as PynencError
from pynenc_core.errors.invocations import HardTimeoutError as HardTimeoutError
from pynenc_core.errors.invocations import RetryError as RetryError
from pynenc_core.errors.invocations import SoftTimeoutError as SoftTimeoutError
from pynenc_core.errors.runners import TaskCancelled as TaskCancelled
from pynenc_core.group import InvocationGroup as InvocationGroup
from pynenc_core.invocation import Invocation as Invocation
from pynenc_core.invocation import ReusedInvocation as ReusedInvocation
from pynenc_core.status import Status as Status
from pynenc_core.task import Task as Task

__all__ = [
    "HardTimeoutError",
    "Invocation",
    "InvocationGroup",
    "Pynenc",
    "PynencBuilder",
    "PynencError",
    "RetryError",
    "ReusedInvocation",
    "SoftTimeoutError",
    "Status",
    "Task",
    "TaskCancelled",
]
__version__: str
