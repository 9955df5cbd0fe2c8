"""What many requests ask at once, answered together."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, NamedTuple, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Waiting(NamedTuple, Generic[Asked, Answer]):
    asked: Asked
    answer: "asyncio.Future[Answer]"


class Gatherer(Generic[Asked, Answer]):
    """Hands everything that waits to one call of `work`; nobody waits for others to come.

    While one block is worked on, in a thread, the next one gathers: blocks grow with the load. A
    block of users shares one matrix product, and a block of events one transaction.

    Parameters
    ----------
    work : callable
        Gives one answer for each that is asked, in order; an exception as an answer is raised
        where that was asked, and one that is raised is raised for the whole block.
    most : int
        Of one block.
    name : str
        Of the thread.
    """

    def __init__(
        self, work: Callable[[list[Asked]], Sequence[Answer | Exception]], most: int, name: str
    ) -> None:
        self._work, self._most = work, most
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: list[_Waiting[Asked, Answer]] = []
        self._is_working = False

    async def __call__(self, asked: Asked) -> Answer:
        """Ask, and wait for the answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, answer))
        if not self._is_working:
            self._start()
        return await answer

    def close(self) -> None:
        """End the thread after the block that it works on."""
        self._pool.shutdown()

    def _start(self) -> None:
        block, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        self._is_working = True
        asked = [each.asked for each in block]
        working = asyncio.get_running_loop().run_in_executor(self._pool, self._checked, asked)
        working.add_done_callback(partial(self._finish, block))

    def _checked(self, asked: list[Asked]) -> Sequence[Answer | Exception]:
        answers = self._work(asked)
        assert len(answers) == len(asked), "somebody would wait for ever"
        return answers

    def _finish(
        self,
        block: "list[_Waiting[Asked, Answer]]",
        worked: "asyncio.Future[Sequence[Answer | Exception]]",
    ) -> None:
        error = worked.exception()
        answers = [error] * len(block) if error is not None else worked.result()
        for (_, answer), found in zip(block, answers, strict=True):
            if answer.done():  # its request was given up
                continue
            if isinstance(found, BaseException):
                answer.set_exception(found)
            else:
                answer.set_result(found)
        self._is_working = False
        if self._waiting:
            self._start()
