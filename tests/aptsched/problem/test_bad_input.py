"""Each bad input is one message that names the field, the value and what is accepted."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from aptsched import BatchProblem
from aptsched.support.checks import MAX_COUNT
from aptsched.support.errors import InputError

GOOD: dict[str, Any] = {"values": [[3.0, 2.0], [1.0, 0.5]], "weights": [[4, 2], [2, 1]], "capacity": 5}
GOOD_HYBRID: dict[str, Any] = {
    "pending_s": [3.0, 1.0],
    "num_blocks": [4, 2],
    "capacity": 5,
    "penalty_s_per_block": 0.1,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"values": [[3.0, np.nan], [1.0, 0.5]]},
            r"values\[0, 1\]: nan is not finite; finite numbers are accepted",
        ),
        ({"values": [[3.0, 2.0], [np.inf, 0.5]]}, r"values\[1, 0\]: inf is not finite"),
        ({"values": [[3.0, 2.0], [1.0, -np.inf]]}, r"values\[1, 1\]: -inf is not finite"),
        ({"values": [[1e308, 1e308], [1.0, 0.5]]}, r"values\[0, 0\]: 1e+308 is too large".replace("+", r"\+")),
        ({"values": [3.0, 1.0]}, r"values: shape \[2\]"),
        ({"values": [[[3.0]]]}, r"values: shape \[1, 1, 1\]"),
        ({"values": 3.0}, r"values: shape \[\]"),
        ({"values": [[3.0, 2.0], [1.0]]}, "values: rows of different lengths"),
        ({"values": [[True, False], [True, True]]}, "values: entries of type bool"),
        ({"values": [["3", "2"], ["1", "0"]]}, "values: entries of type <U1"),
        ({"values": [[3.0, None], [1.0, 0.5]]}, "values: entries of type object"),
        ({"values": [[3.0, 1j], [1.0, 0.5]]}, "values: entries of type complex128"),
        ({"values": None}, "values"),
        ({"values": []}, r"values: shape \[0\] is empty; at least one request is needed"),
        ({"values": np.empty((0, 2)), "weights": np.empty((0, 2), int)}, r"values: shape \[0, 2\] is empty"),
        ({"values": [[], []], "weights": [[], []]}, r"values: shape \[2, 0\] is empty"),
        ({"weights": [[4, -1], [2, 1]]}, r"weights\[0, 1\]: -1 is not accepted; whole numbers from 0"),
        ({"weights": [[4, 2], [2.5, 1]]}, r"weights\[1, 0\]: 2\.5 is not accepted; whole numbers"),
        ({"weights": [[4, 2], [np.nan, 1]]}, r"weights\[1, 0\]: nan is not accepted"),
        ({"weights": [[4, 2], [np.inf, 1]]}, r"weights\[1, 0\]: inf is not accepted"),
        ({"weights": [[4, 2], [MAX_COUNT + 1, 1]]}, rf"weights\[1, 0\]: {MAX_COUNT + 1} is not accepted"),
        ({"weights": [[4, 2], [2**70, 1]]}, "weights"),
        ({"weights": [[4, 2]]}, r"weights: shape \[1, 2\] does not match; \[2, 2\] is needed"),
        ({"weights": [[4], [2]]}, r"weights: shape \[2, 1\] does not match"),
        ({"weights": [4, 2]}, r"weights: shape \[2\] does not match"),
        ({"weights": [[4, 2], [1]]}, "weights: rows of different lengths"),
        ({"weights": [[True, True], [True, False]]}, "weights: entries of type bool"),
        ({"weights": [["4", "2"], ["2", "1"]]}, "weights: entries of type <U1"),
        ({"weights": []}, "weights: .* empty"),
        ({"capacity": -1}, "capacity: -1 is not accepted; a whole number of at least 0"),
        ({"capacity": 2.5}, r"capacity: 2\.5 is not accepted"),
        ({"capacity": float("nan")}, "capacity: nan is not accepted"),
        ({"capacity": float("inf")}, "capacity: inf is not accepted"),
        ({"capacity": "5"}, "capacity: '5' is not accepted"),
        ({"capacity": None}, "capacity: None is not accepted"),
        ({"capacity": True}, "capacity: True is not accepted"),
        ({"max_tokens": 7}, "num_tokens: missing, but max_tokens is 7"),
        ({"num_tokens": [1, -2], "max_tokens": 7}, r"num_tokens\[1\]: -2 is not accepted"),
        ({"num_tokens": [1, 0.5], "max_tokens": 7}, r"num_tokens\[1\]: 0\.5 is not accepted"),
        ({"num_tokens": [1], "max_tokens": 7}, r"num_tokens: shape \[1\] does not match; \[2\] is needed"),
        ({"num_tokens": [[1, 2], [3, 4]], "max_tokens": 7}, r"num_tokens: shape \[2, 2\] does not match"),
        ({"num_tokens": 3, "max_tokens": 7}, r"num_tokens: shape \[\] does not match"),
        ({"num_tokens": [1, 2], "max_tokens": -7}, "max_tokens: -7 is not accepted"),
        ({"num_tokens": [1, 2], "max_tokens": 7.5}, r"max_tokens: 7\.5 is not accepted"),
        ({"max_seqs": -1}, "max_seqs: -1 is not accepted"),
        ({"max_seqs": 1.5}, r"max_seqs: 1\.5 is not accepted"),
        ({"max_seqs": False}, "max_seqs: False is not accepted"),
        ({"required": [1, 0]}, r"required: int64 of shape \[2\] is not accepted; bool of shape \[2\] is"),
        ({"required": [True]}, r"required: bool of shape \[1\] is not accepted"),
        ({"required": True}, r"required: bool of shape \[\] is not accepted"),
        ({"required": [[True], [True, False]]}, "required: "),
        ({"required": ["yes", "no"]}, "required: "),
    ],
)
def test_problem_rejects(changes: dict[str, Any], message: str) -> None:
    """BatchProblem raises InputError with the field, its value and what is accepted, on one line."""
    with pytest.raises(InputError, match=message) as error:
        BatchProblem(**GOOD | changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pending_s": [3.0, np.nan]}, r"pending_s\[1\]: nan is not finite"),
        ({"pending_s": [[3.0, 1.0]]}, r"pending_s: shape \[1, 2\]"),
        ({"pending_s": []}, "pending_s: .* empty"),
        ({"num_blocks": [4, 2.5]}, r"num_blocks\[1\]: 2\.5 is not accepted"),
        ({"num_blocks": [4, -2]}, r"num_blocks\[1\]: -2 is not accepted"),
        ({"num_blocks": [4]}, r"num_blocks: shape \[1\] does not match; \[2\] is needed"),
        ({"penalty_s_per_block": -0.1}, r"penalty_s_per_block: -0\.1 is not accepted"),
        ({"penalty_s_per_block": np.nan}, "penalty_s_per_block: nan is not finite"),
        ({"penalty_s_per_block": np.inf}, "penalty_s_per_block: inf is not finite"),
        ({"penalty_s_per_block": "0.1"}, "penalty_s_per_block: entries of type <U3"),
        ({"penalty_s_per_block": [0.1, 0.2]}, r"penalty_s_per_block: shape \[2\]"),
        ({"hidden_ratio": 0}, "hidden_ratio: 0 is not accepted; a fraction above 0"),
        ({"hidden_ratio": Fraction(-1, 2)}, "hidden_ratio: Fraction"),
        ({"hidden_ratio": float("nan")}, "hidden_ratio: nan is not accepted"),
        ({"hidden_ratio": float("inf")}, "hidden_ratio: inf is not accepted"),
        ({"hidden_ratio": "half"}, "hidden_ratio: 'half' is not accepted"),
        ({"hidden_ratio": "1/0"}, "hidden_ratio: '1/0' is not accepted"),
        ({"hidden_ratio": None}, "hidden_ratio: None is not accepted"),
        ({"hidden_ratio": [1, 2]}, "hidden_ratio: .* is not accepted"),
        ({"hidden_ratio": True}, "hidden_ratio: True is not accepted"),
        ({"hidden_ratio": Fraction(MAX_COUNT)}, rf"weights\[0, 1\]: {4 * MAX_COUNT} is not accepted|hidden_ratio"),
        ({"hidden_ratio": 10**30}, "hidden_ratio: 1000000000000000000000000000000 is not accepted"),
        ({"penalty_s_per_block": 1e308}, "penalty_s_per_block|values"),
        ({"capacity": -1}, "capacity: -1 is not accepted"),
        ({"max_tokens": 3}, "num_tokens: missing"),
        ({"required": [True]}, "required: bool of shape"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_hybrid_rejects(changes: dict[str, Any], message: str) -> None:
    """BatchProblem.hybrid raises InputError with the field, its value and what is accepted, on one line."""
    with pytest.raises(InputError, match=message) as error:
        BatchProblem.hybrid(**GOOD_HYBRID | changes)
    assert "\n" not in str(error.value)


def test_good_examples_are_accepted() -> None:
    """What the cases above vary is accepted itself."""
    BatchProblem(**GOOD)
    BatchProblem.hybrid(**GOOD_HYBRID)
