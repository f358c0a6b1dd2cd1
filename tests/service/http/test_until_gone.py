"""Work that ends with its client: whoever is first, nothing is left over, no cancellation either."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from service.http.sse import until_gone


class Client:
    """What a server's `receive` is, for a client that leaves when told."""

    def __init__(self, error=None):
        self.gone = asyncio.get_running_loop().create_future()
        self.error = error

    async def receive(self):
        await self.gone
        if self.error is not None:
            raise self.error
        return {"type": "http.disconnect"}

    def leave(self):
        self.gone.set_result(None)


def run(scenario):
    """Runs it; afterwards no task is left and nothing wants to cancel the one it ran in."""

    async def whole():
        await scenario()
        for _ in range(5):
            await asyncio.sleep(0)
        me = asyncio.current_task()
        assert me.cancelling() == 0
        assert asyncio.all_tasks() == {me}

    asyncio.run(whole())


def test_the_result_of_work_whose_client_stays():
    async def scenario():
        assert await until_gone(Client().receive, asyncio.sleep(0.01, 7)) == 7

    run(scenario)


def test_an_error_of_the_work_is_its_own():
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("k")

    async def scenario():
        with pytest.raises(KeyError):
            await until_gone(Client().receive, fails())

    run(scenario)


@pytest.mark.parametrize("error", [None, RuntimeError("the connection broke")], ids=["left", "broke"])
def test_work_is_over_when_a_client_that_left_is_told_of(error):
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    async def scenario():
        client = Client(error)
        asyncio.get_running_loop().call_later(0.01, client.leave)
        with pytest.raises(ClientDisconnect):
            await until_gone(client.receive, work())
        assert ended == [True]

    run(scenario)


@pytest.mark.parametrize("ticks", range(6))
@pytest.mark.parametrize("leaves_first", [True, False])
def test_at_the_moment_the_work_ends_either_may_be_first(leaves_first, ticks):
    """A client may leave in any turn of the loop around the end of the work: a result or a disconnect, and no more."""

    async def scenario():
        client, done = Client(), asyncio.get_running_loop().create_future()

        async def work():
            await done
            return 7

        async def ends():
            for one in (client.leave, lambda: done.set_result(None))[:: 1 if leaves_first else -1]:
                one()
                for _ in range(ticks):
                    await asyncio.sleep(0)

        ending = asyncio.create_task(ends())
        try:
            assert await until_gone(client.receive, work()) == 7
        except ClientDisconnect:
            done.cancel()
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)

    run(scenario)


def test_work_that_does_not_mind_being_cancelled_has_its_result_and_the_request_goes_on():
    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "all the same"

    async def scenario():
        client = Client()
        asyncio.get_running_loop().call_later(0.01, client.leave)
        assert await until_gone(client.receive, work()) == "all the same"

    run(scenario)


def test_a_timeout_inside_is_a_timeout_and_a_client_that_left_at_once_is_one():
    async def work():
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    async def scenario():
        with pytest.raises(TimeoutError):
            await until_gone(Client().receive, work())
        client = Client()
        client.leave()
        with pytest.raises(ClientDisconnect):
            await until_gone(client.receive, work())

    run(scenario)


def test_who_is_cancelled_from_outside_is_cancelled_with_the_work_ended():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def scenario():
        request = asyncio.create_task(until_gone(Client().receive, work()))
        await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert ended == [True]

    run(scenario)
