import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mashq.rows import MashqError
from mashq.sources import SourceSettings, hash_files, read, sniff
from mashq.sources.layout import split_in


def parquet(folder, name, texts):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts}), path)


def arrow(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": texts})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def save_to_disk(folder, texts, **state):
    """What `datasets` 3 and 4 write."""
    name = "data-00000-of-00001.arrow"
    arrow(folder / name, texts)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}], "_split": None} | state))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("arcd_train.json", "train"),
        ("train-00000-of-00002.parquet", "train"),
        ("dev.tsv", "validation"),
        ("data/test/part-1.parquet", "test"),
        ("validation/0000.parquet", "validation"),
        ("latest_news.csv", None),
        ("train_test.csv", None),
        ("xquad.ar.json", None),
    ],
)
def test_split_told_by_a_name(name, split):
    assert split_in(name) == split


def test_folder_of_parquet_with_splits_in_names(rows_of, tmp_path):
    parquet(tmp_path, "data/train-00000-of-00002.parquet", ["a", "b"])
    parquet(tmp_path, "data/train-00001-of-00002.parquet", ["c"])
    parquet(tmp_path, "data/test-00000-of-00001.parquet", ["d"])
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "dataset_infos.json").write_text("{}")
    rows = rows_of(tmp_path, text_field="text")
    assert [(row["text"], row["split"]) for row in rows] == [
        ("d", "test"),
        ("a", "train"),
        ("b", "train"),
        ("c", "train"),
    ]
    assert sniff(tmp_path) == "parquet"
    assert list(hash_files(tmp_path)) == [
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
    ]


def test_adding_a_file_to_a_folder_moves_no_id(rows_of, tmp_path):
    parquet(tmp_path, "train-1.parquet", ["a"])
    before = rows_of(tmp_path)[0]["id"]
    parquet(tmp_path, "train-0.parquet", ["z"])
    assert rows_of(tmp_path)[1]["id"] == before


def test_the_same_key_in_two_splits_is_two_rows(rows_of, tmp_path):
    (tmp_path / "train.csv").write_text("id,x\n1,a\n")
    (tmp_path / "test.csv").write_text("id,x\n1,b\n")
    assert [row["dropped"] for row in rows_of(tmp_path, key_field="id")] == [None, None]


def test_the_same_key_in_two_files_of_a_split_is_a_duplicate(rows_of, tmp_path):
    (tmp_path / "train-0.csv").write_text("id,x\n1,a\n")
    (tmp_path / "train-1.csv").write_text("id,x\n1,b\n")
    assert [row["dropped"] for row in rows_of(tmp_path, key_field="id")] == [
        None,
        "duplicate id: line 2: '1' stands on an earlier record",
    ]


def test_several_data_sets_in_a_folder_are_not_mixed(tmp_path):
    parquet(tmp_path, "ar/train.parquet", ["a"])
    parquet(tmp_path, "en/train.parquet", ["a"])
    with pytest.raises(MashqError, match=r"holds several data sets \(ar, en\). Give the folder of one of them"):
        list(read(tmp_path))


def test_several_shapes_in_a_folder_are_not_mixed(tmp_path, metas):
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.jsonl").write_text('{"x": 1}\n')
    with pytest.raises(MashqError, match=r"files of several shapes \(csv such as a.csv, jsonl such as b.jsonl\)"):
        list(read(tmp_path))
    assert metas(tmp_path, shape="csv") == [{"x": "1"}]


def test_a_folder_without_data_is_an_error(tmp_path):
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(MashqError, match="the folder holds no data file"):
        list(read(tmp_path))


# --- save_to_disk ----------------------------------------------------------------------------------------------------


def test_a_saved_dataset(rows_of, tmp_path):
    save_to_disk(tmp_path / "corpus", ["a", "b"], _split="test")
    rows = rows_of(tmp_path / "corpus", text_field="text")
    assert [(row["text"], row["split"], row["source"]) for row in rows] == [
        ("a", "test", "corpus"),
        ("b", "test", "corpus"),
    ]
    assert sniff(tmp_path / "corpus") == "datasets"


def test_a_saved_dataset_dict(rows_of, tmp_path):
    save_to_disk(tmp_path / "train", ["a"])
    save_to_disk(tmp_path / "validation", ["b"])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    assert [(row["meta"]["text"], row["split"]) for row in rows_of(tmp_path)] == [("a", "train"), ("b", "validation")]
    assert list(hash_files(tmp_path)) == ["train/data-00000-of-00001.arrow", "validation/data-00000-of-00001.arrow"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"_data_files": [{"filename": "gone.arrow"}]}, "names the file 'gone.arrow', which is not in the folder"),
        ({"_data_files": [{"filename": "../../etc/passwd"}]}, "expected a list of names inside the folder"),
        ({"_data_files": []}, "expected a list of names inside the folder"),
        (
            {"_indices_data_files": [{"filename": "i.arrow"}]},
            "saved with an index mapping. Save it anew after flatten_indices",
        ),
    ],
)
def test_a_saved_dataset_that_is_not_whole_is_an_error(tmp_path, state, message):
    save_to_disk(tmp_path, ["a"], **state)
    with pytest.raises(MashqError, match=message):
        list(read(tmp_path))


def test_a_broken_state_or_a_missing_split_is_an_error(tmp_path):
    save_to_disk(tmp_path, ["a"])
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(MashqError, match=r"state.json: expected what save_to_disk writes"):
        list(read(tmp_path))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(MashqError, match=r"names the split 'train', but .* is no saved dataset"):
        list(read(tmp_path))


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_missing_file_names_the_nearest(write):
    path = write("tweets.csv", "x\n1\n")
    with pytest.raises(MashqError, match=r"tweet.csv: there is no such file or folder. Did you mean 'tweets.csv'\?"):
        list(read(path.with_name("tweet.csv")))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", "x", r"no reader for the ending '.docx'. Known are .csv"),
        ("a.dat", '{"a": 1}\n{"a": 2}\n', "It looks like jsonl: give shape='jsonl'"),
        ("a.csv", "", r"the file is empty \(0 bytes\)"),
        ("a.xls", b"\xd0\xcf\x11\xe0\0\0", "no reader for the ending '.xls'"),
        ("a.csv", b"PK\x03\x04....", "expected text, got a zip archive or XLSX. Name it with the ending .xlsx"),
        ("a.jsonl", b"PAR1....", "expected text, got Parquet. Name it with the ending .parquet"),
        ("a.jsonl.gz", b'{"a": 1}\n', "expected gzip data because of the ending .gz, got bytes 7b 22"),
    ],
)
def test_a_file_that_no_reader_fits_is_an_error(write, name, content, message):
    with pytest.raises(MashqError, match=message):
        list(read(write(name, content)))


def test_an_unknown_shape_lists_the_known(write):
    with pytest.raises(MashqError, match=r"shape: expected one of csv, .*, got 'jsonlines'"):
        list(read(write("a.csv", "x\n1\n"), SourceSettings(shape="jsonlines")))


def test_other_addresses_are_refused():
    with pytest.raises(MashqError, match=r"s3://bucket/a.csv: expected a local path or hf://…, got s3://"):
        list(read("s3://bucket/a.csv"))


def test_hashes_follow_the_content_and_hold_no_path(write):
    path = write("a.csv", "x\n1\n")
    first = hash_files(path)
    assert first == {"file": hashlib.blake2b(b"x\n1\n", digest_size=16).hexdigest()}
    moved = write("elsewhere/b.csv", "x\n1\n")
    assert hash_files(moved) == first
    path.write_text("x\n2\n")
    assert hash_files(path) != first


# --- the hub ---------------------------------------------------------------------------------------------------------

COMMIT = "a" * 40
HUB_FILES = {
    "data/train-00000-of-00001.jsonl": '{"text": "مرحبا"}\n'.encode(),
    "data/test-00000-of-00001.jsonl": b'{"text": "x"}\n',
    "corpus.py": b"raise SystemExit('code of a stranger ran')",
    "README.md": b"# corpus",
}


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as its own client asks for."""

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        name = path.partition(f"/datasets/owner/corpus/resolve/{COMMIT}/")[2]
        if path.startswith("/api/datasets/owner/corpus/revision/"):
            content = json.dumps(
                {"id": "owner/corpus", "sha": COMMIT, "siblings": [{"rfilename": f} for f in HUB_FILES]}
            ).encode()
        elif path.startswith("/api/datasets/owner/corpus/tree/"):
            files = [
                {"type": "file", "path": f, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                for f, d in HUB_FILES.items()
            ]
            content = json.dumps(files).encode()
        elif name in HUB_FILES:
            content = HUB_FILES[name]
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if path.startswith("/api") else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)


CODE = """
import json, sys
from mashq.rows import MashqError
from mashq.sources import read
for location in sys.argv[1:]:
    try:
        rows = [row for table in read(location) for row in table.to_pylist()]
        print(json.dumps([[row["source"], row["split"], row["meta"]] for row in rows]))
    except MashqError as error:
        print(error)
"""


def test_the_hubs_own_client_reads_from_a_hub_on_loopback(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    locations = [
        "hf://datasets/owner/corpus",
        "hf://datasets/owner/corpus@main/data/train-00000-of-00001.jsonl",
        "hf://datasets/owner/other",
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE, *locations],
            env={**os.environ, **settings, "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        server.shutdown()
        server.server_close()
    whole, one, absent = done.stdout.splitlines()
    assert json.loads(whole) == [["corpus", "test", '{"text":"x"}'], ["corpus", "train", '{"text":"مرحبا"}']]
    assert json.loads(one) == [["corpus", "train", '{"text":"مرحبا"}']]
    assert absent.startswith("hf://datasets/owner/other: the hub did not give the dataset (")
    assert not list(tmp_path.rglob("corpus.py"))


def test_without_the_hubs_client_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        MashqError, match=r"needs the package huggingface_hub. Install it with: pip install huggingface_hub"
    ):
        list(read("hf://datasets/owner/name"))


def test_without_network_the_error_says_what_to_do(monkeypatch):
    def offline(*args, **settings):
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(
        MashqError, match=r"did not give the dataset \(ConnectionError: name resolution failed\). Check the name"
    ):
        list(read("hf://datasets/owner/name"))


@pytest.mark.parametrize("address", ["hf://owner/name", "hf://datasets/name", "hf://datasets/owner/name/../../x"])
def test_a_malformed_hub_address_is_an_error(address):
    with pytest.raises(MashqError, match="expected hf://datasets/OWNER/NAME"):
        list(read(address))
