"""What a process remembers stays within its bounds."""

from core.caches import ForAWhile


def test_values_weigh_no_more_than_the_limit_together() -> None:
    memory: ForAWhile[str] = ForAWhile(60, limit=10)

    memory.put("a", "light")
    memory.put("b", "heavy", weight=9)
    full = [memory.get("a"), memory.get("b")]
    memory.put("c", "one too many")

    assert full == ["light", "heavy"]
    assert [memory.get(key) for key in ("a", "b", "c")] == [None, None, "one too many"]


def test_a_value_that_is_put_again_weighs_once() -> None:
    memory: ForAWhile[int] = ForAWhile(60, limit=10)
    memory.put("a", 0)

    for number in range(100):
        memory.put("b", number, weight=5)

    assert (memory.get("a"), memory.get("b")) == (0, 99)
