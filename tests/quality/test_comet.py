"""COMETKiwi and COMET-QE equal unbabel-comet's on checkpoints that are built here from a seed.

The expected scores and ids are in comet_golden.json, made by unbabel-comet 2.2.7 from the same checkpoints:

    python tests/quality/comet_checkpoints.py golden tests/quality/comet_golden.json

The slow test makes them again where $MASHQ_COMET_PYTHON names a Python that has unbabel-comet.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="a COMET checkpoint needs torch")
pytest.importorskip("sentencepiece", reason="the checkpoints' vocabulary is made with sentencepiece")

sys.path.insert(0, str(Path(__file__).parent))
import comet_checkpoints as small
from bench import bench

from mashq.quality import comet, xlmr_tokens
from mashq.quality.comet import open_comet
from mashq.rows import MashqError

GOLDEN = json.loads((Path(__file__).parent / "comet_golden.json").read_text("utf-8"))
TOLERANCE = 1e-5
SHORT = small.PAIRS[:18]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASHQ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("comet")
    return {name: small.build(folder, name) for name in small.CHECKPOINTS}


@pytest.fixture
def kiwi(built: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of one checkpoint to spoil."""
    return Path(shutil.copytree(built["cometkiwi"], tmp_path / "cometkiwi"))


def changed(home: Path, tensors: dict[str, Any] | None = None, **hparams: Any) -> Path:
    """The same checkpoint with other hparams, in the file and beside it, or with tensors added; None takes one out."""
    import torch

    path = home / "checkpoints" / "model.ckpt"
    read = torch.load(path, weights_only=True)
    state = {**read["state_dict"], **(tensors or {})}
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    given = {**read["hyper_parameters"], "class_identifier": "unified_metric", **hparams}
    return small.write(home, given, {}, state)


# --- scores ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", small.CHECKPOINTS)
def test_scores_equal_unbabel_comet(name: str, built: dict[str, Path]) -> None:
    """Every kind: softmax and sparsemax, layer norm or not, one layer, XL, four poolings; too long ones cut alike."""
    expected = GOLDEN["checkpoints"][name]
    assert small.weights_hash(built[name]) == expected["weights"], "another checkpoint was built than the oracle's"
    scores = open_comet(str(built[name]), cut=True).score(small.PAIRS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=TOLERANCE)
    assert np.std(expected["scores"]) > 1000 * TOLERANCE  # scores that differ, or equality would say nothing


@pytest.mark.parametrize("name", ["cometkiwi", "comet-qe"])
def test_ids_equal_those_of_transformers_4(name: str, built: dict[str, Path]) -> None:
    """From tokenizer.json and from sentencepiece.bpe.model: vocalised, decomposed, ligatures, marks, spaces, empty."""
    tokens = xlmr_tokens.Tokens(Path(f"{built[name]}-encoder"))
    ids = [[tokens.start, *tokens.ids(text), tokens.end] for text in small.texts()]
    assert ids == GOLDEN["checkpoints"][name]["ids"]


def test_the_pieces_are_those_that_sentencepiece_reads(built: dict[str, Path]) -> None:
    import sentencepiece

    path = Path(f"{built['comet-qe']}-encoder") / "sentencepiece.bpe.model"
    theirs = sentencepiece.SentencePieceProcessor(str(path))
    pieces, charsmap = xlmr_tokens._pieces(path.read_bytes())
    assert pieces == [(theirs.id_to_piece(i), theirs.get_score(i)) for i in range(len(theirs))]
    assert charsmap == small.character_map()


def test_sparsemax_patch_means_softmax(built: dict[str, Path], kiwi: Path) -> None:
    """hparams.yaml of wmt22-cometkiwi-da says sparsemax_patch: without that word the scores are wrong."""
    patched = open_comet(str(built["cometkiwi"])).score(SHORT)
    path = kiwi / "hparams.yaml"
    path.write_text(path.read_text("utf-8").replace("sparsemax_patch", "sparsemax"), "utf-8")
    assert np.abs(open_comet(str(kiwi)).score(SHORT) - patched).max() > 0.05


def test_sparsemax_by_hand() -> None:
    import torch

    assert comet.sparsemax(torch.tensor([1.0, 0.5, -1.0])).tolist() == [0.75, 0.25, 0.0]
    assert comet.sparsemax(torch.tensor([3.0, 0.0])).tolist() == [1.0, 0.0]
    assert comet.sparsemax(torch.zeros(4)).tolist() == [0.25] * 4


def test_bfloat16_is_near_float32(built: dict[str, Path]) -> None:
    exact, near = (open_comet(str(built["cometkiwi"]), dtype=dtype) for dtype in ("float32", "bfloat16"))
    difference = np.abs(exact.score(SHORT) - near.score(SHORT)).max()
    assert 0 < difference < 0.1
    assert exact.identity != near.identity


def test_scoring_twice_gives_the_same_bits(built: dict[str, Path]) -> None:
    scorer = open_comet(str(built["cometkiwi"]))
    assert scorer.score(SHORT).tobytes() == scorer.score(SHORT).tobytes()


@pytest.mark.parametrize("name", ["cometkiwi-sparse", "comet-qe", "comet-qe-max"])
def test_a_score_does_not_depend_on_its_batch(name: str, built: dict[str, Path]) -> None:
    together = open_comet(str(built[name])).score(SHORT)
    alone = open_comet(str(built[name]), tokens_per_batch=1).score(SHORT)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_equal_pairs_are_scored_once(built: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = open_comet(str(built["cometkiwi"]))
    one = scorer.score(SHORT[:2])
    seen: list[int] = []
    inside = scorer._model.vectors
    monkeypatch.setattr(scorer._model, "vectors", lambda rows, pad: (seen.append(len(rows)), inside(rows, pad))[1])
    np.testing.assert_allclose(scorer.score([*SHORT[:2]] * 5), np.tile(one, 5), rtol=0, atol=1e-6)
    assert sum(seen) == 2


def test_no_pairs_have_no_scores(built: dict[str, Path]) -> None:
    scorer = open_comet(str(built["cometkiwi"]))
    assert scorer.score([]).shape == (0,)
    assert scorer.batches([]) == []


def test_the_benchmark_gives_each_document_its_own_scores(built: dict[str, Path]) -> None:
    quality = bench("quality")
    scorer = open_comet(str(built["cometkiwi"]))
    found = quality.score_documents(scorer, [SHORT[:2], [], SHORT[2:5]])
    assert [len(scores) for scores in found] == [2, 0, 3]
    np.testing.assert_allclose(
        [score for scores in found for score in scores], scorer.score(SHORT[:5]), rtol=0, atol=1e-6
    )


# --- what is too long ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cometkiwi", "comet-qe"])
def test_too_long_has_no_score_and_a_reason(name: str, built: dict[str, Path]) -> None:
    scorer = open_comet(str(built[name]))
    scores = scorer.score(small.PAIRS)
    faults = [scorer.fault(*pair) for pair in small.PAIRS]
    assert [bool(np.isnan(score)) for score in scores] == [fault is not None for fault in faults]
    assert faults[0] is None
    limit = 64 if name == "cometkiwi" else 62
    assert re.fullmatch(rf"too long: \d+ tokens > {limit}", faults[-1] or "")
    kept = [place for place, fault in enumerate(faults) if fault is None]
    expected = np.array(GOLDEN["checkpoints"][name]["scores"])[kept]
    np.testing.assert_allclose(scores[kept], expected, rtol=0, atol=TOLERANCE)


def test_the_longest_that_fits_fits(built: dict[str, Path]) -> None:
    scorer = open_comet(str(built["cometkiwi"]))
    word = "لا."
    room = scorer.most_tokens - 4 - len(scorer._tokens.ids(word))
    fits = next(text for n in range(1, 99) if len(scorer._tokens.ids(text := "و " * n)) == room)
    assert scorer.fault(word, fits) is None
    assert scorer.fault(word, fits + "و") == f"too long: {scorer.most_tokens + 1} tokens > {scorer.most_tokens}"
    assert np.isfinite(scorer.score([(word, fits)])).all()


# --- batches ---------------------------------------------------------------------------------------------------------


def test_batches_hold_each_place_once_and_stay_in_the_budget(built: dict[str, Path]) -> None:
    scorer = open_comet(str(built["cometkiwi"]), tokens_per_batch=100)
    batches = scorer.batches(small.PAIRS)
    assert sorted(place for batch in batches for place in batch) == list(range(len(small.PAIRS)))
    lengths = [[scorer._length(*small.PAIRS[place]) for place in batch] for batch in batches]
    assert all(len(batch) * max(batch) <= 100 for batch in lengths)
    assert [length for batch in lengths for length in batch] == sorted(length for batch in lengths for length in batch)


def test_what_exceeds_the_budget_alone_is_a_batch_of_its_own() -> None:
    assert comet.by_length([3, 50, 2, 60], 10) == [[2, 0], [1], [3]]


# --- name, identity, licence, scale ----------------------------------------------------------------------------------


def test_name_licence_scale_and_column(built: dict[str, Path]) -> None:
    scorer = open_comet(f"comet:{built['cometkiwi']}")
    assert (scorer.name, scorer.licence) == ("comet:cometkiwi", "cc-by-nc-sa-4.0")
    assert (scorer.scale, scorer.column) == ((0.0, 1.0), "qe")
    assert open_comet(str(built["comet-qe"])).scale is None


@pytest.mark.parametrize(
    ("name", "licence"),
    [("wmt22-cometkiwi-da", "cc-by-nc-sa-4.0"), ("wmt20-comet-qe-da", "apache-2.0"), ("mine", "unknown")],
)
def test_without_a_card_known_models_have_their_licence(name: str, licence: str, kiwi: Path) -> None:
    (kiwi / "README.md").unlink()
    assert open_comet(str(kiwi.rename(kiwi.parent / name))).licence == licence


def test_in_the_hubs_cache_the_name_is_the_models(kiwi: Path) -> None:
    snapshot = kiwi.parent / "models--Unbabel--wmt22-cometkiwi-da" / "snapshots" / "0a1b2c"
    snapshot.parent.mkdir(parents=True)
    assert open_comet(str(kiwi.rename(snapshot))).name == "comet:wmt22-cometkiwi-da"


def test_the_checkpoint_file_stands_for_its_folder(kiwi: Path) -> None:
    assert open_comet(str(kiwi / "checkpoints" / "model.ckpt")).identity == open_comet(str(kiwi)).identity


def test_identity_names_what_decides_a_score_and_nothing_else(kiwi: Path, built: dict[str, Path]) -> None:
    encoder = Path(f"{built['cometkiwi']}-encoder")
    elsewhere = Path(shutil.copytree(encoder, kiwi.parent / "elsewhere"))
    identity = open_comet(str(kiwi)).identity
    moved = Path(shutil.copytree(kiwi, kiwi.parent / "renamed"))
    assert open_comet(str(moved), encoder=str(elsewhere), tokens_per_batch=64).identity == identity
    found = {identity, open_comet(str(kiwi), cut=True).identity}
    path = elsewhere / "tokenizer.json"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    found.add(open_comet(str(kiwi), encoder=str(elsewhere)).identity)
    path = moved / "hparams.yaml"
    path.write_text(path.read_text("utf-8").replace("sparsemax_patch", "sparsemax"), "utf-8")
    found.add(open_comet(str(moved)).identity)
    patch = json.loads((kiwi / "hparams.yaml").read_text("utf-8"))["layer_transformation"]
    found.add(
        open_comet(str(changed(kiwi, {"hidden2tag.bias": None}, layer_transformation=patch, dropout=0.2))).identity
    )
    assert len(found) == 5


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_unpickled_once(kiwi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_comet(str(kiwi)).score(SHORT)
    monkeypatch.setattr(comet, "_unpickled", lambda path: pytest.fail("read again"))
    assert open_comet(str(kiwi)).score(SHORT).tobytes() == first.tobytes()
    made = [
        path
        for path in (Path(os.environ["MASHQ_CACHE"]) / "models").rglob("*")
        if path.is_file() and path.suffix != ".lock"
    ]
    assert {path.suffix for path in made} == {".safetensors", ".json"}


def test_what_needs_classes_is_refused_by_name(kiwi: Path) -> None:
    import torch

    path = kiwi / "checkpoints" / "model.ckpt"
    read = torch.load(path, weights_only=True)
    torch.save({**read, "callbacks": {Path("a"): 1}}, path)
    with pytest.raises(MashqError, match=r"model.ckpt: refused, it holds pathlib\.\w+ .*save it again"):
        open_comet(str(kiwi))


def test_a_damaged_checkpoint_is_refused(kiwi: Path) -> None:
    path = kiwi / "checkpoints" / "model.ckpt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(MashqError, match=r"model.ckpt: refused, it is damaged"):
        open_comet(str(kiwi))


def test_another_kind_of_checkpoint_is_refused(kiwi: Path) -> None:
    import torch

    torch.save({"model": {}}, kiwi / "checkpoints" / "model.ckpt")
    with pytest.raises(MashqError, match=r"expected a state_dict with encoder\.model\.\*, got model"):
        open_comet(str(kiwi))


@pytest.mark.parametrize("name", ["hparams.yaml", "checkpoints/model.ckpt"])
def test_a_missing_file_is_named(name: str, kiwi: Path) -> None:
    (kiwi / name).unlink()
    with pytest.raises(MashqError, match=rf"expected {name} in the folder of a checkpoint, got .*README.md"):
        open_comet(str(kiwi))


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(MashqError, match=r"there is no such folder.*Unbabel/wmt22-cometkiwi-da"):
        open_comet(str(tmp_path / "none"))


def test_a_hub_name_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MashqError, match=r"'Unbabel/wmt22-cometkiwi-da' is no folder here.*HF_TOKEN"):
        open_comet("wmt22-cometkiwi-da")


def test_dtype_is_one_of_three(kiwi: Path) -> None:
    with pytest.raises(MashqError, match=r"dtype is one of .* got 'float23'. Did you mean 'float32'"):
        open_comet(str(kiwi), dtype="float23")


# --- hparams ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hparams", "message"),
    [
        (
            {"encoder_model": "MiniLM"},
            "hparams: encoder_model: expected one of XLM-RoBERTa, XLM-RoBERTa-XL, got 'MiniLM'",
        ),
        ({"layer_transformation": "entmax"}, "hparams: layer_transformation: .*got 'entmax'"),
        ({"activations": "ReLU"}, "hparams: activations: .*got 'ReLU'"),
        ({"final_activation": "Softmax"}, "hparams: final_activation: .*got 'Softmax'"),
        ({"input_segments": ["mt", "ref"]}, "hparams: input_segments: expected mt and src, got mt, ref"),
        ({"sent_layer": "last"}, "hparams: sent_layer: expected mix or a layer's number, got 'last'"),
        ({"hidden_sizes": 24}, "hparams: hidden_sizes: expected a list of sizes, got 24"),
        ({"class_identifier": "regression_metric"}, "class_identifier: expected one of .*got 'regression_metric'"),
        (
            {"class_identifier": "referenceless_regression_metric", "pool": "mean"},
            "hparams: pool: expected one of avg, max, cls, default, got 'mean'",
        ),
    ],
)
def test_what_is_not_supported_names_its_key(hparams: dict[str, Any], message: str, kiwi: Path) -> None:
    with pytest.raises(MashqError, match=message):
        open_comet(str(changed(kiwi, **hparams)))


def test_hparams_that_are_no_yaml(kiwi: Path) -> None:
    (kiwi / "hparams.yaml").write_text("a: !!python/object:os.system {}", "utf-8")
    with pytest.raises(MashqError, match=r"hparams.yaml: is no plain YAML"):
        open_comet(str(kiwi))
    (kiwi / "hparams.yaml").write_text("a", "utf-8")
    with pytest.raises(MashqError, match=r"expected keys and values, got str"):
        open_comet(str(kiwi))


def test_a_checkpoint_without_hparams_takes_those_of_the_file(built: dict[str, Path], kiwi: Path) -> None:
    import torch

    path = kiwi / "checkpoints" / "model.ckpt"
    read = torch.load(path, weights_only=True)
    del read["hyper_parameters"]
    torch.save(read, path)
    assert open_comet(str(kiwi)).shape == open_comet(str(built["cometkiwi"])).shape


def test_a_layer_that_is_not_there(kiwi: Path) -> None:
    with pytest.raises(MashqError, match=r"hparams: layer: expected 0 to 3, or mix, got 9"):
        open_comet(str(changed(kiwi, sent_layer=9))).score(SHORT)


# --- weights, hparams and encoder fit each other ---------------------------------------------------------------------


def test_a_missing_tensor_is_named(kiwi: Path) -> None:
    """unbabel-comet would leave it at random and say nothing."""
    with pytest.raises(MashqError, match=r"expected layerwise_attention\.gamma of shape \(1,\), got none"):
        open_comet(str(changed(kiwi, {"layerwise_attention.gamma": None}))).score(SHORT)


def test_a_missing_tensor_of_the_encoder_is_named(kiwi: Path) -> None:
    gone = {"encoder.model.encoder.layer.1.attention.self.query.bias": None}
    with pytest.raises(MashqError, match=r"the checkpoint lacks encoder\.layer\.1\.attention\.self\.query\.bias"):
        open_comet(str(changed(kiwi, gone))).score(SHORT)


def test_other_sizes_of_the_head_are_named(kiwi: Path) -> None:
    with pytest.raises(MashqError, match=r"expected estimator\.ff\.0\.bias of shape \(30,\), got \(24,\)"):
        open_comet(str(changed(kiwi, hidden_sizes=[30, 12]))).score(SHORT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 2}, r"has besides encoder\.layer\.2\."),
        ({"num_hidden_layers": 4}, r"lacks encoder\.layer\.3\."),
    ],
)
def test_an_encoder_of_another_depth_is_refused(
    changes: dict[str, int], message: str, kiwi: Path, tmp_path: Path
) -> None:
    small.encoder_folder(tmp_path / "other", "XLM-RoBERTa", "tokenizer.json", **changes)
    with pytest.raises(MashqError, match=message):
        open_comet(str(kiwi), encoder=str(tmp_path / "other")).score(SHORT)


def test_an_encoder_of_another_width_is_refused(kiwi: Path, tmp_path: Path) -> None:
    small.encoder_folder(tmp_path / "other", "XLM-RoBERTa", "tokenizer.json", hidden_size=20)
    with pytest.raises(MashqError, match=r"its weights do not fit the encoder in .*pretrained_model"):
        open_comet(str(kiwi), encoder=str(tmp_path / "other")).score(SHORT)


def test_a_tokenizer_of_another_model_is_refused(kiwi: Path, tmp_path: Path) -> None:
    small.encoder_folder(tmp_path / "other", "XLM-RoBERTa", "tokenizer.json", vocab_size=100)
    with pytest.raises(MashqError, match=r"has \d+ tokens, the config.json beside it knows 100"):
        open_comet(str(kiwi), encoder=str(tmp_path / "other"))


# --- the encoder -----------------------------------------------------------------------------------------------------


def test_an_encoder_that_is_not_here_says_how_to_get_it(
    kiwi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    changed(kiwi, pretrained_model="microsoft/infoxlm-large")
    with pytest.raises(
        MashqError, match=r"'microsoft/infoxlm-large' is not in the hub's cache. Give encoder=FOLDER.*hf download"
    ):
        open_comet(str(kiwi))


def test_an_encoder_in_the_hubs_cache_is_found(
    kiwi: Path, built: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--microsoft--infoxlm-large"
    shutil.copytree(f"{built['cometkiwi']}-encoder", home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc", "utf-8")
    expected = open_comet(str(kiwi)).score(SHORT)
    changed(kiwi, pretrained_model="microsoft/infoxlm-large", layer_transformation="sparsemax_patch")
    assert open_comet(str(kiwi)).score(SHORT).tobytes() == expected.tobytes()


def test_an_encoder_without_tokenizer_is_refused(kiwi: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(MashqError, match=r"expected config.json and tokenizer.json or sentencepiece.bpe.model"):
        open_comet(str(kiwi), encoder=str(tmp_path))
    with pytest.raises(MashqError, match=r"encoder 'nowhere' is no folder"):
        open_comet(str(kiwi), encoder="nowhere")


@pytest.mark.parametrize("name", ["tokenizer.json", "sentencepiece.bpe.model"])
def test_a_damaged_tokenizer_is_refused(name: str, kiwi: Path, tmp_path: Path) -> None:
    small.encoder_folder(tmp_path / "other", "XLM-RoBERTa", name)
    path = tmp_path / "other" / name
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(MashqError, match=rf"{name}: is no tokenizer"):
        open_comet(str(kiwi), encoder=str(tmp_path / "other"))


# --- the oracle itself -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_unbabel_comet_still_gives_the_stored_scores(tmp_path: Path) -> None:
    python = os.environ.get("MASHQ_COMET_PYTHON")
    if not python:
        pytest.skip("MASHQ_COMET_PYTHON names no Python that has unbabel-comet")
    script = str(Path(__file__).parent / "comet_checkpoints.py")
    subprocess.run([python, script, "golden", str(tmp_path / "golden.json")], check=True, capture_output=True)
    again = json.loads((tmp_path / "golden.json").read_text("utf-8"))["checkpoints"]
    for name, expected in GOLDEN["checkpoints"].items():
        assert again[name]["weights"] == expected["weights"]
        assert again[name]["ids"] == expected["ids"]
        np.testing.assert_allclose(again[name]["scores"], expected["scores"], rtol=0, atol=1e-6)
