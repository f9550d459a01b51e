"""The values of every name of a specification, for given configurations and hardware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from bayeslat.errors import HardwareError, InputError
from bayeslat.features.expressions import Expression, FloatArray
from bayeslat.features.spec_fields import SpecFields, reachable
from bayeslat.features.terms import HARDWARE_FIELDS
from bayeslat.traces.names import TASK

__all__ = ["Namespace"]


class Namespace(Mapping[str, npt.ArrayLike]):
    """Names of a specification as a mapping; quantities are computed when first looked up.

    Parameters
    ----------
    fields : SpecFields
        A valid specification.
    columns : Mapping of str to array_like
        Values of the knobs (and of `task`, if named): arrays of shape (config,) or numbers. Only
        those that an expression needs must be there; other columns are not looked at, but count
        for the number of rows.
    hardware : Mapping of str to array_like
        Hardware fields: numbers, or arrays of shape (config,) when rows are of several GPUs.

    Attributes
    ----------
    n_rows : int
        Number of configurations; 1 if all values are numbers.

    Raises
    ------
    InputError
        If two columns differ in length. Later, if a column that is looked up is not there.
    HardwareError
        Later, if a hardware field that is looked up has no value.
    """

    def __init__(
        self,
        fields: SpecFields,
        columns: Mapping[str, npt.ArrayLike],
        hardware: Mapping[str, npt.ArrayLike],
    ) -> None:
        self._fields = fields
        self._columns = columns
        self._hardware = hardware
        self._known: dict[str, npt.ArrayLike] = dict(fields.architecture)
        self.n_rows = _common_length(columns, hardware)

    def evaluate(self, expression: str | Expression) -> FloatArray:
        """Evaluate an expression for every configuration.

        Parameters
        ----------
        expression : str or Expression
            One over the names of the specification.

        Returns
        -------
        ndarray of float64, shape (config,)
            A new array; not checked for NaN and inf.

        Raises
        ------
        ExpressionError
            If the expression does not parse, or names what the specification does not define.
        InputError
            If a column that it needs is not given.
        HardwareError
            If a hardware field that it needs has no value.
        """
        parsed = Expression(expression) if isinstance(expression, str) else expression
        value = parsed.evaluate(self)
        return np.array(np.broadcast_to(value, (self.n_rows,)))

    def __getitem__(self, name: str) -> npt.ArrayLike:
        if name not in self._known:
            self._known[name] = self._resolve(name)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in set(self)

    def __iter__(self) -> Iterator[str]:
        fields = self._fields
        yield from (*fields.knobs, TASK, *fields.architecture, *fields.quantities)
        yield from HARDWARE_FIELDS

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _resolve(self, name: str) -> npt.ArrayLike:
        fields = self._fields
        if name in fields.quantities:
            return self._quantity(name)
        if name in fields.knobs or name == TASK:
            return self._column(name)
        if name in HARDWARE_FIELDS:
            return self._field(name)
        raise KeyError(name)

    def _column(self, name: str) -> npt.ArrayLike:
        try:
            return self._columns[name]
        except KeyError:
            raise InputError(
                f"no column {name!r}, which spec {self._fields.name!r} needs; add it (columns: "
                f"{', '.join(map(str, self._columns))})"
            ) from None

    def _field(self, name: str) -> npt.ArrayLike:
        value = self._hardware.get(name)
        if value is None:
            raise HardwareError(
                f"the hardware has no {name!r}, which spec {self._fields.name!r} needs; name "
                f"another field in the spec ({', '.join(self._hardware)}), or give its value"
            )
        return value

    def _quantity(self, name: str) -> FloatArray:
        """Compute a quantity after those that it needs, in order, so that nothing recurses deep."""
        needed = reachable([name], self._fields.quantity_names)
        for step, expression in self._fields.quantities.items():
            if step == name:
                break
            if step in needed and step not in self._known:
                self._known[step] = expression.evaluate(self)
        return self._fields.quantities[name].evaluate(self)


def _common_length(*groups: Mapping[str, npt.ArrayLike]) -> int:
    """Return the number of rows; numbers count for every row."""
    shapes = {key: np.shape(group[key]) for group in groups for key in group}
    shapes = {key: shape for key, shape in shapes.items() if shape}
    if len(set(shapes.values())) > 1 or any(len(shape) > 1 for shape in shapes.values()):
        shown = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise InputError(f"columns differ in length ({shown}); give one value for each row")
    return next((shape[0] for shape in shapes.values()), 1)
