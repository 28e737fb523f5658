"""SharedList: a sequence that is its own key."""

from __future__ import annotations

import gc
import pickle
import weakref

import pytest
from pytest_synctool.common.shared_list import SharedList


class Item:
    """An item that can neither be hashed nor compared."""

    __hash__ = None  # type: ignore[assignment]  # a class may say so; object's signature does not allow for it

    def __eq__(self, other: object) -> bool:
        raise AssertionError("items are not compared")


def test_it_is_a_sequence_of_its_items() -> None:
    items = SharedList(iter("abc"))
    assert (list(items), len(items), items[0], items[-1], items[:2]) == (["a", "b", "c"], 3, "a", "c", ("a", "b"))
    assert "b" in items
    assert "d" not in items
    assert not SharedList()
    assert repr(items) == "SharedList(['a', 'b', 'c'])"
    with pytest.raises(IndexError):
        items[3]


def test_it_equals_only_itself_and_its_items_are_neither_hashed_nor_compared() -> None:
    one, other = SharedList([Item()]), SharedList([Item()])
    assert one == one
    assert one != other
    assert {one: 1, other: 2}[one] == 1


def test_a_dictionary_keeps_its_key_alive() -> None:
    item = Item()
    alive = weakref.ref(item)
    made = {SharedList([item]): 1}
    del item
    gc.collect()
    assert alive() is not None
    assert list(made.values()) == [1]


def test_a_pickled_copy_is_another_list() -> None:
    items = SharedList(["a"])
    copy = pickle.loads(pickle.dumps(items))
    assert list(copy) == ["a"]
    assert copy != items
