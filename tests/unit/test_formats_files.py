"""Files that appear whole or not at all."""

import os

import pytest

from gridedge.errors import InputError
from gridedge.formats.files import together


def test_files_of_one_export_come_together(tmp_path):
    (tmp_path / "a.cfg").write_text("old")
    (tmp_path / "a.dat").write_text("old")
    with together(tmp_path / "a.cfg", tmp_path / "a.dat", tmp_path / "a.hdr") as places:
        for place in places:
            place.write_text("new")
        assert (tmp_path / "a.cfg").read_text() == "old"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.cfg": "new", "a.dat": "new", "a.hdr": "new"}


def write(folder, error=None):
    """Write a record of three files, and fail before they are moved where an error is given."""
    with together(folder / "a.cfg", folder / "a.dat", folder / "a.hdr") as places:
        for place in places:
            place.write_text("new")
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_files_and_nothing_else(tmp_path, error):
    (tmp_path / "a.cfg").write_text("old")
    with pytest.raises(error):
        write(tmp_path, error())
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.cfg": "old"}


@pytest.mark.parametrize("failing", ["a.cfg", "a.dat"])
def test_a_swap_that_fails_half_way_is_undone(tmp_path, monkeypatch, failing):
    (tmp_path / "a.cfg").write_text("old")
    (tmp_path / "a.dat").write_text("old")
    real = os.replace

    def replace(source, target):
        if os.path.basename(target) == failing and "old-" not in str(source):
            raise PermissionError(13, "in use")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(InputError, match="cannot replace a file"):
        write(tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.cfg": "old", "a.dat": "old"}


def test_a_companion_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "a.dat").write_text("precious")
    with pytest.raises(InputError, match=r"a\.dat.*move it"), together(tmp_path / "a.cfg", tmp_path / "a.dat"):
        pass
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.dat": "precious"}


def test_a_place_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"), together(tmp_path / "nowhere" / "a.csv"):
        pass
    with pytest.raises(InputError, match="is a folder"), together(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
