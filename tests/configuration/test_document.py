"""YAML is read strictly: what plain YAML allows and nobody means is refused, with its line."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configuration import Configuration, ConfigurationError, load
from configuration.models import File
from configuration.section import keys
from tests.configuration.conftest import Reader, Refuser
from tests.configuration.keys import key_paths

DEEP = "server: " + "[" * 1000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: \a", "config.yaml:1: found the character U+0007, expected printable characters"),
        (DEEP, "config.yaml:1: found more levels of nesting, expected at most 16"),
    ],
)
def test_what_no_editor_shows_is_refused(problems: Refuser, text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_an_unknown_key_is_answered_with_the_nearest_known_one(problems: Refuser) -> None:
    (problem,) = problems("Storages: {}")

    assert problem.endswith('did you mean "storage"?')


def test_every_problem_is_told_at_once_in_the_order_of_the_lines(problems: Refuser) -> None:
    lines = problems("auth: {realm: no, expiration: 5}\nserver:\n  wrkers: 1\n  threads: x\nacl: &a []")

    places = [line.split(" found ")[0] for line in lines]
    assert places == [
        "config.yaml:1: auth.realm:",
        "config.yaml:1: auth.expiration:",
        "config.yaml:3: server.wrkers:",
        "config.yaml:4: server.threads:",
        "config.yaml:5: acl:",
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "---\n{}\n...\n"])
def test_a_file_that_says_nothing_has_every_default(read: Reader, text: str) -> None:
    configuration = read(text)

    assert (configuration.users, configuration.acl, configuration.auth) == (
        None,
        None,
        Configuration().auth,
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xef\xbb\xbfserver: {}", "found a byte order mark, expected UTF-8 without one"),
        ("server: {}".encode("utf-16"), "found a byte order mark, expected UTF-8 without one"),
        (b"server: {}\n# \xff", "found the byte 0xff in line 2, expected UTF-8"),
        (b"#" * (16 * 1024 * 1024 + 1), "found a larger file, expected at most 16777216 bytes"),
    ],
)
def test_a_file_that_is_no_small_utf8_text_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(data)

    with pytest.raises(ConfigurationError) as error:
        load(path)

    assert str(error.value) == f"config.yaml: {message}"


def test_a_file_of_exactly_a_mebibyte_is_read(read: Reader) -> None:
    assert read("#" * (1024 * 1024)).users is None


def test_a_folder_in_place_of_the_file_says_how_it_came_there(tmp_path: Path) -> None:
    folder = tmp_path / "config.yaml"
    folder.mkdir()

    with pytest.raises(ConfigurationError, match=r"found a folder.*docker compose.*rmdir"):
        load(folder)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^nowhere\.yaml: found no such file or directory"):
        load(tmp_path / "nowhere.yaml")


def test_a_pipe_is_not_waited_for() -> None:
    with pytest.raises(ConfigurationError, match="found a pipe or a device, expected a regular file"):
        load(Path("/dev/null"))


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one path, written again by every example."""
    return tmp_path_factory.mktemp("any") / "config.yaml"


def _is_loaded_or_refused(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        return isinstance(load(path), Configuration)
    except ConfigurationError as error:
        return bool(str(error))


@settings(deadline=None)
@given(st.text().map(lambda text: text.encode(errors="surrogatepass")) | st.binary())
@example(b"a: !<")
@example(b"? {}\n: {}")
@example(b"%TAG ! tag:x,2000:\n--- !a b")
def test_any_text_loads_or_is_a_configuration_error(one_file: Path, data: bytes) -> None:
    assert _is_loaded_or_refused(one_file, data)


def _mapping(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in members.items()) + "}"


# Scalars that are odd in YAML, or at the edge of a grammar.
ODD = """no 0123 1e9 -1 99999999999999999999999 .inf 2026-01-02 ~ "" '*' "\\0" "\\ud800" "\\x85" "[" "[z-a]"
    *x &x !x ":0" "[:::]:1" ":99999" "1.2.3:4" "http://[" "https://a:b" "http://x:99999" "1.2.3.4/99" "::/0"
    0x10 "9999999999h" "0" "1ns" true hmac rsa "sqlite:///" "sqlite:////\\0" "postgres://a:b"
    "postgres://u@h:x/y" "a/../b" "/" [] {} [a,a] [~] {a:b}
    "$2y$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" """
KEYS = st.sampled_from(sorted({path.rpartition(".")[2] for path in key_paths()} | {"url_file", "a"}))
VALUES = st.recursive(
    st.sampled_from(ODD.split()),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(KEYS, inner, max_size=4).map(_mapping)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(keys(File))), VALUES, min_size=1))
def test_any_values_under_known_keys_load_or_are_a_configuration_error(
    one_file: Path, sections: dict[str, str]
) -> None:
    text = "\n".join(f"{section}: {value}" for section, value in sections.items())

    assert _is_loaded_or_refused(one_file, text.encode())
