"""What a process remembers stays within its bounds."""

import weakref

from core.caches import TTLCache


def test_values_weigh_no_more_than_the_limit_together() -> None:
    memory: TTLCache[str] = TTLCache(60, limit=10)

    memory.put("a", "light")
    memory.put("b", "heavy", weight=9)
    full = [memory.get("a"), memory.get("b")]
    memory.put("c", "one too many")

    assert full == ["light", "heavy"]
    assert [memory.get(key) for key in ("a", "b", "c")] == [None, None, "one too many"]


def test_a_value_that_is_put_again_weighs_once() -> None:
    memory: TTLCache[int] = TTLCache(60, limit=10)
    memory.put("a", 0)

    for number in range(100):
        memory.put("b", number, weight=5)

    assert (memory.get("a"), memory.get("b")) == (0, 99)


def test_a_value_that_is_too_old_takes_no_room_though_there_would_be_some() -> None:
    class Something:
        pass

    memory: TTLCache[Something] = TTLCache(-1, limit=10)
    values = [Something(), Something()]
    first, second = map(weakref.ref, values)
    memory.put("first", values.pop(0))
    assert first() is not None

    memory.put("second", values.pop(0))

    assert (first() is None, second() is None) == (True, False)
