from pynenc_core.app import Pynenc as Pynenc
from pynenc_core.builder import PynencBuilder as PynencBuilder
from pynenc_core.errors.base import PynencError as PynencError
from pynenc_core.errors.invocations import RetryError as RetryError
from pynenc_core.group import InvocationGroup as InvocationGroup
from pynenc_core.invocation import Invocation as Invocation
from pynenc_core.invocation import ReusedInvocation as ReusedInvocation
from pynenc_core.status import Status as Status
from pynenc_core.task import Task as Task

__all__ = [
    "Invocation",
    "InvocationGroup",
    "Pynenc",
    "PynencBuilder",
    "PynencError",
    "RetryError",
    "ReusedInvocation",
    "Status",
    "Task",
]
__version__: str
