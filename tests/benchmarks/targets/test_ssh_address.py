"""What is an address, and what a remote shell is given as the interpreter."""

from __future__ import annotations

import pytest

from benchmarks.targets.ssh.address import quoted_python, read_address
from dermpack.errors import printable
from tests.support.errors import raises_code


@pytest.mark.parametrize(
    ("text", "destination", "port"),
    [
        ("pi@raspberry", "pi@raspberry", None),
        ("raspberry", "raspberry", None),  # ~/.ssh/config may know more of it
        ("pi@10.0.0.7:2222", "pi@10.0.0.7", 2222),
        ("pi@[fe80::1%eth0]:22", "pi@fe80::1%eth0", 22),
        ("some_user.x-1@pi-4.local:65535", "some_user.x-1@pi-4.local", 65535),
    ],
)
def test_an_address_is_a_user_a_host_and_a_port(text: str, destination: str, port: int | None) -> None:
    address = read_address(text)
    assert (address.destination, address.port, address.name) == (destination, port, f"ssh:{text}")


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "pi@", "-oProxyCommand=touch /tmp/x", "-l@host", "pi@-host", "pi@host:", "pi@host:0"),
        *(
            "pi@host:65536",
            "pi@host:22x",
            "pi@ho st",
            "pi@host;reboot",
            "pi@$(reboot)",
            "`x`",
            "a\nb",
            "a\0b",
        ),
        *("pi@host/..", "pi@[::1", "pi@host:2²", "ssh://pi@host", "pi@@host", "%h", "host\n"),
    ],
)
def test_what_a_shell_or_ssh_could_misread_is_no_address(text: str) -> None:
    with raises_code("invalid-option", printable(f"ssh:{text}: "), "ssh:user@host") as caught:
        read_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("python", "quoted"),
    [
        ("python3", "python3"),
        ("/opt/my venv/bin/python", "'/opt/my venv/bin/python'"),
        ("~/venv/bin/python", "~/venv/bin/python"),
        ("~/my venv/bin/python", "~/'my venv/bin/python'"),
        ("python3; rm -rf x", "'python3; rm -rf x'"),
        ("$(reboot)", "'$(reboot)'"),
    ],
)
def test_the_interpreter_is_one_word_for_the_remote_shell(python: str, quoted: str) -> None:
    assert quoted_python(python) == quoted


@pytest.mark.parametrize("python", ["", "-c", "--version", "python\nreboot", "py\0thon"])
def test_what_is_no_path_of_a_program_is_refused(python: str) -> None:
    with raises_code("invalid-option", "--python "):
        quoted_python(python)
