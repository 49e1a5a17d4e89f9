"""Files as records: whatever their encoding and separator, cut off or broken, and never whole in memory."""

import io
import json
import tracemalloc

import pytest

from gateway.conversation import sources
from gateway.conversation.sources import csv_rows, decoding, json_values

ROWS = [{"id": "1", "text": "Grüße 🙂"}, {"id": "2", "text": 'say "so"\nand on'}, {"id": "3", "text": "a,b;c\td"}]


def records(file, name="file.json"):
    table = sources.of_stream(name, lambda: io.BytesIO(file), len(file))
    return list(table.read()), table.remarks()


def as_csv(separator=","):
    quoted = ('"' + row["text"].replace('"', '""') + '"' for row in ROWS)
    return f"id{separator}text\n" + "".join(f"{n}{separator}{text}\r\n" for n, text in enumerate(quoted, 1))


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2, ensure_ascii=False),
        "\n\n" + "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in ROWS),
        "\n".join(json.dumps(row, indent=4) for row in ROWS),
        as_csv(),
        as_csv(";"),
        as_csv("\t"),
        "\n" + as_csv(),
    ],
)
def test_rows_are_the_same_however_they_are_written(text, size, monkeypatch):
    monkeypatch.setattr(decoding, "PIECE", max(size, 4))
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        found, _ = records(text.encode(encoding))
        assert [one.fields for one in found] == ROWS, encoding


def test_the_encoding_is_told():
    _, remarks = records("id,text\n1,Grüße\n".encode("utf-16"))
    assert remarks == ["file.json is written in UTF-16-LE."]
    found, remarks = records("id,text\n1,Grüße – „so“\n".encode("cp1252"))
    assert found[0].fields["text"] == "Grüße – „so“"
    assert remarks == ["file.json is not all UTF-8: 5 bytes of it were read as Windows-1252."]
    mixed = "id,text\n1,Grüße\n".encode() + "2,Grüße\n".encode("latin-1")
    assert [one.fields["text"] for one in records(mixed)[0]] == ["Grüße", "Grüße"]


@pytest.mark.parametrize(
    ("file", "good", "problem"),
    [
        (b'{"id": 1}\n{"id": 2, "te\n{"id": 3}\n', [1, 3], "It is no JSON."),
        (b'{"id": 1}\n{"id": 2, "te', [1], "cut off"),
        (b'[{"id": 1},\n{"id": 2}', [1, 2], "The list is not closed"),
        (b'[{"id": 1},\n{"id": 2, "x": [1, 2', [1], "cut off"),
        (b'{"id": 1}\nnonsense\n{"id": 3}', [1, 3], "It is no JSON."),
        (b'{"id": 1}\n7\n{"id": 3}', [1, 3], "It is no object."),
        (b'{"id": 1}\n' + b'{"a":' * 100_000 + b"\n" + b'{"id": 3}', [1, 3], "nested too deeply"),
        (b'{"id": 1}\n{"id": ' + b"9" * 9000 + b'}\n{"id": 3}', [1, 3], "number that is too long"),
        (b"id,text\n1,a\n2\n3,c\n", ["1", "3"], "It has 1 fields, and there are 2 columns."),
        (b'id,text\n1,a\n2,"b\n3,c\n', ["1", "3"], "quotes are not closed"),
        (b'id,text\n1,a\n2,"b" or so\n3,c\n', ["1", "3"], "quotes are not closed"),
    ],
)
def test_a_broken_row_is_told_with_its_place_and_the_others_are_read(file, good, problem):
    found, _ = records(file)
    assert [one.fields["id"] for one in found if not one.problem] == good
    told = [one for one in found if one.problem]
    assert problem in told[0].problem
    assert told[0].place.startswith("file.json, line ")
    if "list" not in problem:
        assert told[0].text.encode()[:5] in file


def test_places_are_lines():
    found, _ = records(b'[\n{"id": 1},\n\n{"id":\n 2},\n{"id": 3}]\n')
    assert [one.place for one in found] == ["file.json, line 2", "file.json, line 4", "file.json, line 6"]
    found, _ = records(b'id,text\n1,"a\nb"\n2,c\n')
    assert [one.place for one in found] == ["file.json, line 2", "file.json, line 4"]


def test_a_quote_that_is_never_closed_takes_no_other_row_with_it(monkeypatch):
    monkeypatch.setattr(csv_rows, "LONGEST", 500)
    text = "id,text\n" + "".join(f'{n},"{"x" * 20}"\n' if n != 5 else '5,"no end\n' for n in range(100))
    found, _ = records(text.encode())
    assert [one.fields["id"] for one in found if not one.problem] == [str(n) for n in range(100) if n != 5]
    assert [(one.place, one.text) for one in found if one.problem] == [("file.json, line 7", '5,"no end\n')]


def test_a_value_that_is_too_long_is_passed_over(monkeypatch):
    monkeypatch.setattr(json_values, "LONGEST", 1000)
    monkeypatch.setattr(decoding, "PIECE", 100)
    found, _ = records(b'{"id": 1}\n{"x": "' + b"x" * 5000 + b'"}\n{"id": 3}\n')
    assert [one.problem or one.fields["id"] for one in found] == [1, "It is longer than 1,000 characters.", 3]


@pytest.mark.parametrize("kind", ["array", "csv"])
def test_a_long_file_is_never_whole_in_memory(tmp_path, kind):
    path = tmp_path / "long"
    with path.open("w") as file:
        row = json.dumps({"id": 1, "text": "x" * 200}) if kind == "array" else f"1,{'x' * 200}"
        file.write("[" if kind == "array" else "id,text\n")
        file.writelines(f"{row},"[: None if kind == "array" else -1] + "\n" * (kind == "csv") for _ in range(60_000))
        file.write("{}]" if kind == "array" else "")
    (table,) = sources.of_files([path])
    tracemalloc.start()
    assert sum(1 for _ in table.read()) >= 60_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4


def test_a_folder_gives_its_files_in_order(tmp_path):
    for name in ("b.json", "a.csv", ".hidden.json", "notes.md"):
        (tmp_path / name).write_text("{}")
    assert [one.name for one in sources.files_of(tmp_path)] == ["a.csv", "b.json"]
