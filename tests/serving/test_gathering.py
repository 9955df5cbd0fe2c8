"""Gathering: what waits is answered together, in order, and nobody is forgotten."""

import asyncio
import threading
import time

from recsys.serving.gathering import Gatherer


def run(work, questions, most=8):
    """Ask all at once; give the answers and the sizes of the blocks."""
    sizes = []

    def recorded(block):
        sizes.append(len(block))
        return work(block)

    async def ask():
        gatherer = Gatherer(recorded, most, "test")
        tasks = [asyncio.ensure_future(gatherer(each)) for each in questions]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        gatherer.close()
        return answers

    return asyncio.run(ask()), sizes


def test_each_gets_its_own_answer():
    answers, sizes = run(lambda block: [2 * each for each in block], range(20))
    assert answers == [2 * each for each in range(20)]
    assert sum(sizes) == 20


def test_what_waits_while_a_block_is_worked_on_comes_together():
    def slow(block):
        time.sleep(0.02)
        return block

    _, sizes = run(slow, range(20), most=16)
    assert sizes == [1, 16, 3]


def test_one_mistake_is_told_to_the_one_who_made_it():
    def work(block):
        return [ValueError(str(each)) if each == 3 else each for each in block]

    answers, _ = run(work, range(5))
    assert [each for each in answers if not isinstance(each, ValueError)] == [0, 1, 2, 4]
    assert str(answers[3]) == "3"


def test_a_failed_block_is_told_to_all_of_it_and_the_next_one_works():
    def work(block):
        if 0 in block:
            raise MemoryError("too much")
        return block

    answers, sizes = run(work, range(4), most=1)
    assert isinstance(answers[0], MemoryError)
    assert answers[1:] == [1, 2, 3]
    assert sizes == [1, 1, 1, 1]


def test_who_gives_up_does_not_stop_the_others():
    async def ask():
        gate = threading.Event()

        def work(block):
            gate.wait(5)
            return block

        gatherer = Gatherer(work, 8, "test")
        tasks = [asyncio.ensure_future(gatherer(each)) for each in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        tasks[1].cancel()
        gate.set()
        found = await asyncio.wait_for(tasks[2], 5)
        gatherer.close()
        return found

    assert asyncio.run(ask()) == 2


def test_a_work_that_forgets_somebody_is_told_to_all():
    answers, _ = run(lambda block: block[:-1], range(2))
    assert all(isinstance(each, AssertionError) for each in answers)
