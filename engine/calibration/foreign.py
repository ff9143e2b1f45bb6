"""Calibrations of another model, dtype or device than that of the run: refused, or accepted with a notice."""

from __future__ import annotations

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.calibration.measure import Calibration
from engine.models.model_names import is_named_as, same_device, same_model


def check_given(foreign: bool, file: str | None) -> None:
    """Raises InputError where a foreign calibration is allowed and none is given."""
    if foreign and file in (None, "fits", "roofline"):
        raise InputError("foreign_calibration: it is given without a calibration; with one it is accepted")


def check_run(calibration: Calibration, model: str, dtype: str, device: str, *, foreign: bool = False) -> list[str]:
    """Notices about a calibration for a run of that model.

    Parameters
    ----------
    calibration : Calibration
    model, dtype, device : str
        Those of the run, named as in a calibration.
    foreign : bool
        Whether a calibration of another model, dtype or device is accepted.

    Raises
    ------
    InputError
        The calibration is of another one, and not accepted.
    """
    same = same_model(calibration.model, model) and calibration.dtype == dtype
    if same and same_device(calibration.device, device):
        return []
    return _taken("calibration", _name(calibration), f"{shown_name(model)} in {dtype} on {device}", "run", foreign)


def check_simulation(
    calibration: Calibration, name: str, gpu: str, num_gpus: int, *, foreign: bool = False
) -> list[str]:
    """Notices about a calibration as the cost of a simulation, which must be of the same model on one device.

    Raises
    ------
    InputError
        The calibration is of another model, or the simulation has several GPUs, and it is not accepted.
    """
    of = f"Times are those of a calibration of {_name(calibration)}; {gpu} gives the memory and nothing else."
    if is_named_as(calibration.model, name) and num_gpus == 1:
        return [of]
    return [of, *_taken("cost", _name(calibration), f"{name} on {num_gpus} x {gpu}", "simulated", foreign)]


def shown_name(model: str) -> str:
    """A model's name, cut where it is long."""
    return shown(model)[1:-1]


def _name(calibration: Calibration) -> str:
    return f"{shown_name(calibration.model)} in {shown_name(calibration.dtype)} on {shown_name(calibration.device)}"


def _taken(field: str, given: str, wanted: str, done: str, foreign: bool) -> list[str]:
    if not foreign:
        raise InputError(
            f"{field}: a calibration of {given} is not accepted where {wanted} is {done}; one of that is, or with "
            "--foreign-calibration any"
        )
    return [f"The calibration is of {given}, and {wanted} is {done}: what it says of times may be far from true."]
