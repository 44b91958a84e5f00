"""Assert that an error has a code and names the essential values."""

from __future__ import annotations

from types import TracebackType

import pytest

from dermpack.errors import DermpackError


class _RaisesCode:
    """A context manager that expects a DermpackError with a code; the rest is checked at its end."""

    def __init__(self, code: str, values: tuple[object, ...]) -> None:
        self._code, self._values = code, values
        self._raises = pytest.raises(DermpackError)

    def __enter__(self) -> pytest.ExceptionInfo[DermpackError]:
        self._caught = self._raises.__enter__()
        return self._caught

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        is_expected = self._raises.__exit__(kind, error, trace)
        if is_expected:
            assert_code(self._caught.value, self._code, *self._values)
        return bool(is_expected)


def raises_code(code: str, *values: object) -> _RaisesCode:
    """Expect a DermpackError with this code whose line contains every value."""
    return _RaisesCode(code, values)


def assert_code(error: BaseException | None, code: str, *values: object) -> None:
    """Check the code of an error, and that its line contains every value."""
    assert isinstance(error, DermpackError), f"{error!r} is not a DermpackError"
    assert error.code == code, f"{error.code}: {error}"
    missing = [str(value) for value in values if str(value) not in str(error)]
    assert not missing, f"{missing} not in: {error}"


def assert_stderr_code(stderr: str, code: str, *values: object) -> None:
    """Check that the last line of stderr is an error with this code that contains every value."""
    line = stderr.strip().splitlines()[-1]
    assert line.startswith(f"error[{code}]: "), line
    missing = [str(value) for value in values if str(value) not in line]
    assert not missing, f"{missing} not in: {line}"
