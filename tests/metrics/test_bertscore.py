"""BERTScore equals its definition, pair by pair, for encoders and causal models; what it cannot score it counts."""

import json
import math

import numpy as np
import pytest
import tiny_models

from mashq.encode import open_encoder, open_token_encoder
from mashq.metrics import bertscore as module
from mashq.metrics.bertscore import Baseline, Held, bertscore, bertscore_items, metrics, read_baseline
from mashq.rows import MashqError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

REPLIES = [*tiny_models.LINES, "ذهبت", "قرأ الولد الكتاب", "ذهبت"]
TARGETS = [[text] for text in [*tiny_models.LINES[1:], "عاصمة المغرب هي الرباط", "ذهبت البنت", "كتاب", "model system"]]


def bert(folder, positions=64):
    """A tiny random BERT with classifying and separating tokens."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=512, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=positions,
    )  # fmt: skip
    made = transformers.BertModel(config)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape) * 0.3)
    made.save_pretrained(folder)
    tokenizers = pytest.importorskip("tokenizers")
    raw = tiny_models.tokenizer(["<pad>", "<cls>", "<sep>", "<unk>"]).backend_tokenizer
    raw.post_processor = tokenizers.processors.TemplateProcessing(
        single="<cls> $A <sep>", special_tokens=[("<cls>", 1), ("<sep>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", cls_token="<cls>", sep_token="<sep>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    made = {family: tiny_models.folder(place / family, family) for family in ("gemma3", "gpt2")}
    return {**made, "bert": bert(place / "bert")}


def by_definition(folder, layer, replies, targets, idf):
    """Equations of section 3 of the paper, a text at a time, on Transformers' own hidden states."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    raw = tokenizer.backend_tokenizer
    raw.no_truncation()
    ids = {text: raw.encode(text.strip()).ids for text in [*replies, *targets]}
    special = {number for number in (tokenizer.cls_token_id, tokenizer.sep_token_id) if number is not None}
    seen = {text: set(tokens) for text, tokens in ids.items()}
    count = {token: sum(token in seen[text] for text in targets) for tokens in ids.values() for token in tokens}

    def weight(token):
        if idf:
            return math.log((len(targets) + 1) / (count[token] + 1))
        return float(token not in special)

    def rows(text):
        with torch.no_grad():
            states = model(torch.tensor([ids[text]]), output_hidden_states=True).hidden_states[layer][0]
        return (states / states.norm(dim=-1, keepdim=True)).numpy(), np.array([weight(token) for token in ids[text]])

    for reply, target in zip(replies, targets, strict=True):
        (ours, our_weights), (theirs, their_weights) = rows(reply), rows(target)
        cosines = ours @ theirs.T
        precision = cosines.max(axis=1) @ our_weights / our_weights.sum()
        recall = cosines.max(axis=0) @ their_weights / their_weights.sum()
        yield precision, recall, 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize(("family", "layer"), [("bert", 1), ("bert", 3), ("gpt2", 2), ("gemma3", 2)])
def test_every_item_equals_the_definition(folders, family, layer, idf):
    targets = [one[0] for one in TARGETS]
    wanted = list(by_definition(folders[family], layer, REPLIES, targets, idf))
    found = bertscore_items(REPLIES, TARGETS, str(folders[family]), layer, idf=idf)
    for item, one in zip(found, wanted, strict=True):
        assert item[:3] == pytest.approx(one, abs=1e-6)


def test_a_text_against_itself_scores_1(folders):
    item = bertscore_items(["ذهبت البنت"], [["ذهبت البنت"]], str(folders["bert"]), 2)[0]
    assert item[:3] == pytest.approx((1, 1, 1), abs=1e-6)
    assert not item.nothing and not item.cut


def test_the_best_reference_is_that_of_highest_f_whatever_its_place(folders):
    encoder = open_token_encoder(str(folders["bert"]), 2)
    reply, near, far = tiny_models.LINES[1], tiny_models.LINES[1] + " اليوم", tiny_models.LINES[3]
    alone = bertscore_items([reply], [[near]], encoder)[0]
    assert bertscore_items([reply], [[far, near]], encoder)[0][:3] == pytest.approx(alone[:3], abs=1e-6)
    assert bertscore_items([reply], [[near, far]], encoder)[0][:3] == pytest.approx(alone[:3], abs=1e-6)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
@pytest.mark.parametrize(("reply", "target"), [("", "ذهبت"), ("   ", "ذهبت"), ("ذهبت", ""), ("", "")])
def test_an_empty_text_scores_0_and_is_counted(folders, family, reply, target):
    score = bertscore([reply, "ذهبت"], [[target], ["ذهبت"]], str(folders[family]), 1)
    assert (score.nothing, score.cut) == (1, 0)
    assert bertscore_items([reply], [[target]], str(folders[family]), 1)[0] == (0.0, 0.0, 0.0, True, False)


def test_a_token_that_every_reference_has_weighs_nothing(folders):
    items = bertscore_items(["ذهبت", "كتاب"], [["ذهبت"], ["ذهبت كتاب"]], str(folders["bert"]), 1, idf=True)
    assert items[0].nothing  # log(3 / 3) for each token of the reply
    assert not items[1].nothing


def test_weights_from_one_reference_are_refused_because_all_are_0(folders):
    for targets in ([["ذهبت"]], [["ذهبت"], ["ذهبت"]]):
        with pytest.raises(MashqError, match="bertscore: idf: expected at least 2 different references, got fewer"):
            bertscore_items(["ذهبت"] * len(targets), targets, str(folders["bert"]), 1, idf=True)


def test_a_long_text_is_cut_at_the_positions_and_counted(folders):
    score = bertscore(["كتاب " * 100, "كتاب"], [["كتاب"], ["كتاب"]], str(folders["bert"]), 1)
    assert (score.nothing, score.cut) == (0, 1)
    assert "most_tokens:64" in score.f1.signature


def test_batches_and_parts_change_no_number(folders, monkeypatch):
    encoder = open_token_encoder(str(folders["bert"]), 2)
    whole = bertscore_items(REPLIES, TARGETS, encoder)
    monkeypatch.setattr(module, "TOKENS_HELD", 1)
    for one, other in zip(bertscore_items(REPLIES, TARGETS, encoder), whole, strict=True):
        assert one[:3] == pytest.approx(other[:3], abs=1e-6)


def test_each_different_text_is_encoded_once(folders, monkeypatch):
    encoder = open_token_encoder(str(folders["bert"]), 1)
    given = []
    plain = encoder.vectors
    monkeypatch.setattr(encoder, "vectors", lambda tokens: given.extend(map(tuple, tokens)) or plain(tokens))
    bertscore_items(["كتاب", "كتاب", "درس"], [["درس"], ["كتاب"], ["درس"]], encoder)
    assert len(given) == len(set(given)) == 2


def test_references_are_encoded_once_for_all_systems_and_the_numbers_are_the_same(folders, monkeypatch):
    encoder = open_token_encoder(str(folders["bert"]), 1)
    systems = [["قطة صغيرة", "بيت قديم"], ["كلب كبير", "بيت جديد"]]
    targets = [["قطة كبيرة جدا"], ["بيت صغير"]]
    alone = [bertscore_items(replies, targets, encoder) for replies in systems]
    sizes = []
    plain = encoder.vectors
    monkeypatch.setattr(encoder, "vectors", lambda ids: sizes.append(len(ids)) or plain(ids))
    f1 = metrics(encoder)["bertscore_f1"]
    together = [f1.per_item(replies, targets) for replies in systems]
    assert sizes == [4, 2]
    assert np.allclose(together, [[one.f1 for one in items] for items in alone], atol=1e-6)


def test_held_references_have_a_limit(folders):
    encoder = open_token_encoder(str(folders["bert"]), 1)
    held = Held(4)
    for _ in range(2):
        found = bertscore_items(["قطة"] * 3, [["بيت"], ["قطة كبيرة جدا هنا"], ["كلب"]], encoder, held=held)
        assert len(found) == 3
    assert 0 < len(held) <= 4


def test_a_baseline_rescales_and_stands_in_the_signature(folders, tmp_path):
    file = tmp_path / "ar.tsv"
    file.write_text("LAYER,P,R,F\n0,0.1,0.1,0.1\n1,0.5,0.4,0.3\n", "utf-8")
    baseline = read_baseline(file, 1)
    assert baseline == Baseline("ar", 0.5, 0.4, 0.3, layer=1)
    raw = bertscore_items(["ذهبت"], [["كتاب"]], str(folders["bert"]), 1)[0]
    scaled = bertscore_items(["ذهبت"], [["كتاب"]], str(folders["bert"]), 1, baseline=baseline)[0]
    assert scaled.f1 == pytest.approx((raw.f1 - 0.3) / 0.7)
    assert scaled.recall == pytest.approx((raw.recall - 0.4) / 0.6)
    assert "baseline:ar=0.5,0.4,0.3" in metrics(str(folders["bert"]), 1, baseline=baseline)["bertscore_f1"].signature
    assert "baseline:none" in metrics(str(folders["bert"]), 1)["bertscore_f1"].signature


def test_a_rescaled_score_has_no_least_value_and_says_so(folders):
    floor = Baseline("high", 0.9, 0.9, 0.9)
    scaled = metrics(str(folders["bert"]), 1, baseline=floor)["bertscore_f1"]
    assert (scaled.unit, scaled.bounds) == ("up to 1", None)
    plain = metrics(str(folders["bert"]), 1)["bertscore_f1"]
    assert (plain.unit, plain.bounds) == ("-1..1", (-1.0, 1.0))


def test_a_baseline_without_a_header_keeps_its_first_layer(tmp_path):
    file = tmp_path / "ar.tsv"
    file.write_text("0,0.1,0.2,0.3\n1,0.5,0.4,0.3\n", "utf-8")
    assert read_baseline(file, 0) == Baseline("ar", 0.1, 0.2, 0.3, layer=0)


def test_a_layer_with_two_values_is_named_by_its_line(tmp_path):
    file = tmp_path / "ar.tsv"
    file.write_text("LAYER,P,R,F\n0,0.1,0.2,0.3\n2,0.5,0.4\n", "utf-8")
    with pytest.raises(MashqError, match=r"ar\.tsv, line 3: expected LAYER,P,R,F, got '2,0\.5,0\.4'"):
        read_baseline(file, 2)


def test_without_a_baseline_for_the_layer_nothing_is_called_rescaled(tmp_path):
    with pytest.raises(MashqError, match=r"no such file\. Without a baseline numbers are not rescaled"):
        read_baseline(tmp_path / "none.tsv", 9)
    file = tmp_path / "ar.tsv"
    file.write_text("LAYER,P,R,F\n0,0.1,0.1,0.1\n", "utf-8")
    with pytest.raises(MashqError, match="expected P, R, F of layer 9, got layers 0"):
        read_baseline(file, 9)
    file.write_text("LAYER,P,R,F\n0,x,0.1,0.1\n", "utf-8")
    with pytest.raises(MashqError, match="line 2: expected LAYER,P,R,F"):
        read_baseline(file, 0)
    with pytest.raises(MashqError, match="values from -1 to below 1, got 1"):
        Baseline("whole", 0.5, 1, 0.5)


def test_the_signature_tells_encoders_layers_and_weights_apart(folders):
    several = [metrics(str(folders["bert"]), layer, idf=idf) for layer in (1, 2) for idf in (False, True)]
    several.append(metrics(str(folders["gpt2"]), 1))
    signatures = {one.signature for made in several for one in made.values()}
    assert len(signatures) == 15
    assert all("/" not in signature.split("|encoder:")[1].split("|")[0] for signature in signatures)


def test_the_metrics_give_the_parts_of_each_item(folders):
    items = bertscore_items(REPLIES, TARGETS, str(folders["bert"]), 2)
    for name, made in metrics(str(folders["bert"]), 2).items():
        assert made.per_item(REPLIES, TARGETS) == [getattr(item, name.removeprefix("bertscore_")) for item in items]
        assert (made.name, made.higher_is_better) == (name, True)


def test_odd_texts_are_scored(folders):
    odd = ["\ud800 ذهبت", "\x00\x01", "😀" * 30, "漢字", "كتاب\u200f"]
    found = bertscore_items(odd, [["كتاب"]] * len(odd), str(folders["bert"]), 1)
    assert all(math.isfinite(item.f1) for item in found)


def test_errors_say_what_to_do(folders):
    folder = str(folders["bert"])
    with pytest.raises(
        MashqError, match=r"a layer beside its name, got none\. bert_score takes layer 9 of bert-base-multi"
    ):
        bertscore(["a"], [["a"]], folder)
    with pytest.raises(MashqError, match="layer: expected 0 to 3, got 4"):
        bertscore(["a"], [["a"]], folder, 4)
    with pytest.raises(MashqError, match="expected 2, the opened encoder's, got 1"):
        bertscore(["a"], [["a"]], open_token_encoder(folder, 2), 1)
    with pytest.raises(MashqError, match="item 0: expected a list of at least one reference, got none"):
        bertscore_items(["a"], [[]], folder, 1)
    with pytest.raises(MashqError, match="it gives vectors of texts only"):
        open_token_encoder("e5", 9)
    with pytest.raises(MashqError, match="there is no such folder"):
        open_token_encoder("/nowhere/at/all", 1)


def test_an_encoder_of_texts_still_reads_its_folder(folders):
    assert open_encoder(str(folders["bert"])).encode(["كتاب", ""]).shape == (2, 16)


def test_layers_above_are_taken_away_and_a_causal_final_norm_stays(folders):
    encoder = open_token_encoder(str(folders["gpt2"]), 1)
    rows = encoder.vectors(encoder.tokens(["كتاب"])[0])[0]
    model = transformers.AutoModel.from_pretrained(folders["gpt2"], dtype=torch.float32).eval()
    ids = torch.tensor(encoder.tokens(["كتاب"])[0])
    with torch.no_grad():
        wanted = model.ln_f(model(ids, output_hidden_states=True).hidden_states[1])[0]
    wanted = (wanted / wanted.norm(dim=-1, keepdim=True)).numpy()
    assert rows == pytest.approx(wanted, abs=1e-5)
    assert json.loads((folders["gpt2"] / "config.json").read_text())["n_layer"] == 2
