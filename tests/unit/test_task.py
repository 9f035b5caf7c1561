"""Defining tasks, calling them, and what a task sees of itself while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from pynenc_core.errors.configuration import ConfigurationError
from pynenc_core.errors.runners import TaskDefinitionError, TaskInMainError
from pynenc_core.errors.serialization import ArgumentBindingError, ArgumentEncodingError
from pynenc_core.invocation import Invocation
from unit.app.running import app_of_its_own, runner_of, working_app


def plain(n: int) -> int:
    """Return it."""
    return n


class Owner:
    """Has a method."""

    def method(self) -> None:
        """Do nothing."""


def yields() -> Iterator[int]:
    yield 1


async def yields_asynchronously() -> AsyncIterator[int]:
    yield 1


class TestDefining:
    def test_its_id_is_module_and_name(self) -> None:
        task = app_of_its_own().task(plain)
        assert task.task_id == f"{__name__}.plain"
        assert vars(task)["__name__"] == "plain"
        assert task.__doc__ == "Return it."
        assert task.function(3) == 3
        assert repr(task) == f"<Task {__name__}.plain>"

    @pytest.mark.parametrize("generator", [yields, yields_asynchronously])
    def test_a_generator_is_refused(self, generator: Any) -> None:
        with pytest.raises(TaskDefinitionError, match="it is a generator, whose values no result can carry; return a list"):
            app_of_its_own().task(generator)

    @pytest.mark.parametrize("thing", [Owner, staticmethod(plain), len, "name"], ids=["class", "static-method", "builtin", "string"])
    def test_only_functions_are_tasks(self, thing: Any) -> None:
        with pytest.raises(TaskDefinitionError, match="only functions can be tasks"):
            app_of_its_own().task(thing)

    def test_a_task_is_not_made_a_task_again(self) -> None:
        app = app_of_its_own()
        task: Any = app.task(plain)
        with pytest.raises(TaskDefinitionError, match="it is a task already; decorate the function once"):
            app.task(task)

    def test_one_of_the_started_script_is_refused_with_the_way_out(self) -> None:
        namespace: dict[str, Any] = {"__name__": "__main__", "app": app_of_its_own()}
        source = "def job() -> None: ...\n"
        exec(compile(source, "script.py", "exec"), namespace)  # noqa: S102 - the shortest way to a function of a started script
        with pytest.raises(TaskInMainError, match="move it to a module and import it from there"):
            namespace["app"].task(namespace["job"])

    def test_two_of_one_name_in_different_files_are_refused(self) -> None:
        app = app_of_its_own()
        app.task(plain)

        def other() -> None: ...

        other.__qualname__ = "plain"
        namespace: dict[str, Any] = {"__name__": __name__}
        exec(compile("def plain() -> None: ...", "elsewhere.py", "exec"), namespace)  # noqa: S102 - another file of that module
        with pytest.raises(TaskDefinitionError, match="another function is registered under this id; rename one of them"):
            app.task(namespace["plain"])

    def test_an_unknown_option_is_refused_with_a_suggestion(self) -> None:
        with pytest.raises(ConfigurationError, match="did you mean max_retries"):
            app_of_its_own().task(max_retrys=3)(plain)

    def test_an_option_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="priority"):
            app_of_its_own().task(priority=101)(plain)

    def test_options_of_the_configuration_given_later_still_count(self) -> None:
        app = app_of_its_own()
        task = app.task(plain)
        app.conf.task.max_retries = 4
        assert app.started is False
        app.orchestrator  # noqa: B018 - starts the app
        assert task.options.max_retries == 4


def everything(a: int, /, b: int, *rest: int, c: int = 3, **others: int) -> list[Any]:
    return [a, b, list(rest), c, others]


class TestCalling:
    def test_every_style_of_argument_arrives(self) -> None:
        with working_app() as app:
            task = app.task(everything)
            assert task(1, 2).get_result(5) == [1, 2, [], 3, {}]
            assert task(1, b=2, c=4).get_result(5) == [1, 2, [], 4, {}]
            assert task(1, 2, 5, 6, c=4, d=7).get_result(5) == [1, 2, [5, 6], 4, {"d": 7}]

    def test_equal_calls_have_one_call_id_whatever_the_style(self) -> None:
        app = app_of_its_own()

        @app.task
        def add(x: int, y: int = 2) -> int:
            return x + y

        ids = {invocation.call.call_id for invocation in (add(1, 2), add(1), add(x=1, y=2), add(y=2, x=1))}
        assert len(ids) == 1
        assert add(2, 1).call.call_id not in ids

    @pytest.mark.parametrize(
        ("args", "kwargs", "said"),
        [((), {}, "x"), ((1, 2, 3), {}, "no more than 2"), ((1,), {"z": 1}, "z"), ((1,), {"x": 1}, "x")],
        ids=["missing", "too many", "unknown", "twice"],
    )
    def test_wrong_arguments_are_an_error_at_the_call(self, args: tuple[int, ...], kwargs: dict[str, int], said: str) -> None:
        app = app_of_its_own()

        @app.task
        def add(x: int, y: int = 2) -> int:
            return x + y

        with pytest.raises(ArgumentBindingError, match=said):
            add(*args, **kwargs)
        with pytest.raises(TypeError):
            add(*args, **kwargs)

    def test_an_argument_against_its_annotation_is_an_error_at_the_call_naming_it(self) -> None:
        app = app_of_its_own()

        @app.task
        def add(x: int, y: int) -> int:
            return x + y

        with pytest.raises(ArgumentEncodingError, match=r"add.*'y'|'y'.*add|add.*`y`|argument y"):
            add(1, "two")  # type: ignore[arg-type] # the point of the test
        assert app.orchestrator.count_invocations() == 0

    def test_an_unannotated_value_that_would_come_back_changed_is_refused(self) -> None:
        app = app_of_its_own()

        @app.task
        def take(value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - the point of the test
            return value

        with pytest.raises(ArgumentEncodingError, match="value"):
            take({1, 2})

    def test_the_first_of_many_calls_that_does_not_fit_registers_nothing_of_its_batch(self) -> None:
        app = app_of_its_own()
        task = app.task(plain)
        with pytest.raises(ArgumentEncodingError):
            task.parallelize([(1,), ("two",), (3,)])
        assert app.orchestrator.count_invocations() == 0

    def test_more_than_a_batch_arrives_whole(self) -> None:
        with working_app(threads=2) as app:
            task = app.task(parallel_batch_size=7)(plain)
            group = task.parallelize([(n,) for n in range(30)])
            assert len(group) == 30
            assert group.ordered_results(10) == list(range(30))


class TestInside:
    def test_it_knows_its_invocation(self) -> None:
        with working_app() as app:

            @app.task
            def who() -> str:
                own = who.invocation
                assert own is not None
                return own.invocation_id

            invocation = who()
            assert invocation.get_result(5) == invocation.invocation_id
            assert who.invocation is None

    def test_another_task_does_not_take_it_for_its_own(self) -> None:
        with working_app() as app:

            @app.task
            def other() -> None: ...

            @app.task
            def who() -> bool:
                return other.invocation is None

            assert who().get_result(5) is True

    def test_its_lines_carry_all_ids(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        with working_app() as app:

            @app.task
            def child() -> None:
                child.logger.warning("here")

            @app.task
            def parent() -> str:
                made = child()
                made.get_result(5)
                return made.invocation_id

            root = parent()
            made = root.get_result(5)
        (line,) = [record for record in caplog.records if record.getMessage() == "here"]
        fields = line.__dict__
        assert line.name == f"pynenc.{app.app_id}"
        assert fields["invocation_id"] == made
        assert fields["task_id"] == child.task_id
        assert fields["workflow_id"] == root.invocation_id
        assert fields["runner_id"].startswith("ThreadRunner@")

    def test_a_line_outside_of_any_invocation_has_the_task_only(self, caplog: pytest.LogCaptureFixture) -> None:
        task = app_of_its_own().task(plain)
        task.logger.warning("outside", extra={"more": 1})
        (line,) = caplog.records
        assert (line.__dict__["task_id"], line.__dict__["more"]) == (task.task_id, 1)
        assert not hasattr(line, "invocation_id")

    def test_what_it_calls_is_of_its_tree_and_names_the_runner(self) -> None:
        with working_app() as app:

            @app.task
            def child() -> int:
                return 1

            @app.task(force_new_workflow=True)
            def apart() -> int:
                return 1

            @app.task
            def parent() -> list[str]:
                made: list[Invocation[int]] = [child(), apart()]
                for each in made:
                    each.get_result(5)
                return [each.invocation_id for each in made]

            root = parent()
            inside, beside = (app.get_invocation(made) for made in root.get_result(5))
        assert inside.workflow == root.workflow
        assert inside.record.invocation.parent_id == root.invocation_id
        assert inside.history[0].registered_by == root.invocation_id
        assert inside.history[0].runner_context_id.startswith("ThreadRunner@")
        assert root.history[0].runner_context_id.startswith("ExternalRunner@")
        assert beside.workflow.workflow_id == beside.invocation_id
        assert beside.workflow.parent_workflow_id == root.invocation_id


class TestDirect:
    def test_callers_get_the_value(self) -> None:
        with working_app() as app:

            @app.direct_task
            def double(n: int) -> int:
                """Double it."""
                return 2 * n

            @app.direct_task(max_retries=2)
            async def triple(n: int) -> int:
                return 3 * n

            assert double(4) == 8
            assert (getattr(double, "__name__", ""), double.__doc__) == ("double", "Double it.")

            async def here() -> list[int]:
                return list(await asyncio.gather(triple(1), triple(2)))

            assert asyncio.run(here()) == [3, 6]
            assert triple.task.options.max_retries == 2
            assert app.orchestrator.count_invocations() == 3

    def test_its_errors_come_through(self) -> None:
        with working_app() as app:

            @app.direct_task
            def fail() -> None:
                raise LookupError("gone")

            with pytest.raises(LookupError, match="gone"):
                fail()


class TestOptions:
    def test_delay_and_expiry(self) -> None:
        app = app_of_its_own()

        @app.task(delay=3600)
        def later() -> None: ...

        @app.task(expires=0.05)
        def fresh() -> None: ...

        delayed, expiring = later(), fresh()
        assert delayed.status == "SCHEDULED"
        assert delayed.record.state.due == pytest.approx(delayed.record.state.since + 3600, abs=1)
        expires = expiring.record.invocation.expires
        assert expires is not None
        while app.orchestrator.engine.state.now() <= expires:
            pass
        with runner_of(app), pytest.raises(Exception, match="expired"):
            expiring.get_result(5)
        assert expiring.status == "CANCELLED"
        assert delayed.status == "SCHEDULED"

    def test_a_higher_priority_comes_first(self) -> None:
        app, order = app_of_its_own(threads=1), []

        @app.task(priority=-50)
        def low(n: int) -> None:
            order.append(n)

        @app.task(priority=50)
        def high(n: int) -> None:
            order.append(n)

        group = low.parallelize([(1,), (2,)])
        urgent = high(0)
        with runner_of(app):
            list(group.iter_results(5))
            urgent.get_result(5)
        assert order == [0, 1, 2]

    def test_a_runner_takes_from_its_queues_only_the_first_ones_first(self) -> None:
        app, order = app_of_its_own(threads=1, runner={"queues": ("fast", "slow")}), []

        @app.task(queue="slow")
        def slow() -> None:
            order.append("slow")

        @app.task(queue="fast")
        def fast() -> None:
            order.append("fast")

        @app.task(queue="other")
        def other() -> None: ...

        made = [slow(), fast()]
        elsewhere = other()
        with runner_of(app):
            for each in made:
                each.get_result(5)
        assert order == ["fast", "slow"]
        assert elsewhere.status == "REGISTERED"
