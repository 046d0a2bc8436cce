"""Translation models small enough for tests: random weights in the real file layouts, vocabularies learnt from the
lines below."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ENGLISH = [
    "The old bridge over the river was closed for repairs last winter.",
    "She asked the teacher why the moon looks larger near the horizon.",
    "Most of the farmers in the valley grow olives, figs and almonds.",
    "Which of the following answers is correct?",
    "Read the paragraph and answer the question in one sentence.",
    "The train to the coast leaves at seven and arrives before noon.",
    "He did not know that the library closes early on Fridays.",
    "Our neighbours sold their house and moved to a smaller town.",
    "How many children were playing in the garden?",
    "The price of bread rose again, but wages stayed the same.",
    "A short summary of the article is given below.",
    "Engineers tested the new engine for three hundred hours.",
    "Please write a title for the story that you have just read.",
    "The doctor told him to rest for a week and to drink more water.",
    "It rained all night, so the market opened late.",
    "No one believed the boy when he told them about the fox.",
]
ARABIC = [
    "أُغلق الجسر القديم فوق النهر في الشتاء الماضي من أجل الإصلاح.",
    "سألت المعلمة لماذا يبدو القمر أكبر عندما يكون قريبا من الأفق.",
    "يزرع معظم الفلاحين في الوادي الزيتون والتين واللوز.",
    "أي الإجابات التالية صحيحة؟",
    "اقرأ الفقرة ثم أجب عن السؤال بجملة واحدة.",
    "يغادر القطار إلى الساحل في السابعة ويصل قبل الظهر.",
    "لم يكن يعلم أن المكتبة تغلق أبوابها مبكرا يوم الجمعة.",
    "باع جيراننا بيتهم وانتقلوا إلى بلدة أصغر.",
    "كم طفلا كان يلعب في الحديقة؟",
    "ارتفع سعر الخبز من جديد، لكن الأجور بقيت كما هي.",
    "فيما يلي ملخص قصير للمقال.",
    "اختبر المهندسون المحرك الجديد ثلاثمئة ساعة.",
    "اكتب عنوانا للقصة التي قرأتها قبل قليل.",
    "نصحه الطبيب بأن يستريح أسبوعا وأن يشرب مزيدا من الماء.",
    "هطل المطر طوال الليل فتأخر فتح السوق.",
    "لم يصدق أحد الصبي عندما حدثهم عن الثعلب.",
]
MARIAN_TARGETS = (">>ara<<", ">>arz<<", ">>ary<<", ">>apc<<")
SMALL: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "activation_function": "relu", "scale_embedding": True,
    "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
}  # fmt: skip
TAUGHT = 6  # lines of each language that a model is taught
LESSONS = 300  # steps of training at most; 0 leaves the weights random
LEARNT = 0.02  # nats a token, at which training stops
CARD = "---\nlanguage:\n- en\n- ar\nlicense: {}\n---\n\n# A tiny model\n"


def sentencepiece(path: Path, lines: Sequence[str], pieces: int, kind: str = "unigram", **settings: Any) -> list[str]:
    """Train a SentencePiece model on the lines and write it; its pieces in the order of their numbers."""
    import sentencepiece as spm

    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=pieces, model_type=kind,
        character_coverage=1.0, hard_vocab_limit=False, minloglevel=2, **settings,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    read = spm.SentencePieceProcessor(model_proto=model.getvalue())
    return [read.id_to_piece(number) for number in range(read.get_piece_size())]


def marian(
    folder: Path,
    *,
    targets: Sequence[str] = MARIAN_TARGETS,
    licence: str = "apache-2.0",
    lessons: int = LESSONS,
    english: Sequence[str] = ENGLISH,
    pieces: int = 220,
    extra_pieces: int = 0,
    ends_after_least: bool = False,
    pickled: bool = False,
    **sizes: Any,
) -> Path:
    """A Marian model as Opus-MT folders hold it: source.spm, target.spm, vocab.json with <pad> last, config, weights.

    `extra_pieces` makes the vocabulary as long as a real one; `ends_after_least` lets the model end a sentence as soon
    as it may, so that the shortest length allowed is every translation's length.
    """
    import torch
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    folder.mkdir(parents=True)
    # Pieces of Opus-MT's spm: the three of every model, then the language's own.
    source = sentencepiece(folder / "source.spm", english, pieces)
    target = sentencepiece(folder / "target.spm", ARABIC, 220)
    names = ["</s>", "<unk>", *dict.fromkeys([*source[3:], *target[3:]]), *targets]
    names += [f"▁filler{number}" for number in range(extra_pieces)]
    vocabulary = {name: number for number, name in enumerate([*names, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    pad = len(names)
    config = MarianConfig(
        **{**SMALL, **sizes}, vocab_size=pad + 1, max_position_embeddings=512, pad_token_id=pad, eos_token_id=0,
        decoder_start_token_id=pad, forced_eos_token_id=0, share_encoder_decoder_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(1)
    model = MarianMTModel(config).eval()
    model.get_input_embeddings().weight.data[pad] = 0.0
    if lessons:
        model = _taught(model, _marian_pairs(folder, vocabulary, targets), lessons)
    with torch.no_grad():
        model.final_logits_bias.normal_(std=0.1 if lessons else 0.0)
        model.final_logits_bias[0, 0] = 1000.0 if ends_after_least else 0.0
        model.final_logits_bias[0, pad] = 0.0
    model.generation_config = GenerationConfig(
        num_beams=4, max_length=512, bad_words_ids=[[pad]], pad_token_id=pad, eos_token_id=0,
        decoder_start_token_id=pad, forced_eos_token_id=0,
    )  # fmt: skip
    settings = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": "en",
        "target_lang": "ar",
        "separate_vocabs": False,
    }
    return _saved(folder, model, settings, licence, pickled)


def _marian_pairs(
    folder: Path, vocabulary: dict[str, int], targets: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Each English line with each target token; the tokens have other Arabic lines for it."""
    import sentencepiece as spm

    source, target = (
        spm.SentencePieceProcessor(model_file=str(folder / f"{side}.spm")) for side in ("source", "target")
    )
    pairs = []
    for number, token in enumerate(targets[:2] or [None]):  # the others are never taught
        for line, english in enumerate(ENGLISH[:TAUGHT]):
            arabic = ARABIC[(line + number) % TAUGHT]
            given = [*([token] if token else []), *source.encode(english, out_type=str), "</s>"]
            wanted = [*target.encode(arabic, out_type=str), "</s>"]
            pairs.append(([vocabulary.get(one, 1) for one in given], [vocabulary.get(one, 1) for one in wanted]))
    return pairs


def _coded_pairs(
    folder: Path, ids: dict[str, int], source: str, targets: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """The same for models whose source and translation begin with a language's code."""
    import sentencepiece as spm

    pieces = spm.SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    pairs = []
    for number, token in enumerate(targets):
        for line, english in enumerate(ENGLISH[:TAUGHT]):
            arabic = ARABIC[(line + number) % TAUGHT]
            given = [source, *pieces.encode(english, out_type=str), "</s>"]
            wanted = [token, *pieces.encode(arabic, out_type=str), "</s>"]
            pairs.append(([ids.get(one, 3) for one in given], [ids.get(one, 3) for one in wanted]))
    return pairs


def nllb(folder: Path, *, licence: str = "cc-by-nc-4.0", lessons: int = LESSONS) -> Path:
    """An NLLB model: sentencepiece.bpe.model, tokenizer.json made of it, codes of 200 languages, config, weights."""
    import torch
    from transformers import AutoTokenizer, GenerationConfig, M2M100Config, M2M100ForConditionalGeneration

    folder.mkdir(parents=True)
    _both_languages(folder)
    settings = {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "m2m_100"}), "utf-8")
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    ids = _with_codes(folder / "tokenizer.json")
    size = len(ids) + 2  # the real weights have two rows more than there are tokens
    config = M2M100Config(**SMALL, vocab_size=size, max_position_embeddings=1024, tokenizer_class="NllbTokenizer")
    torch.manual_seed(1)
    model = M2M100ForConditionalGeneration(config)
    model = _taught(model, _coded_pairs(folder, ids, "eng_Latn", ("arb_Arab", "arz_Arab")), lessons)
    model.generation_config = GenerationConfig(max_length=200, **_ends())
    return _saved(folder, model, settings, licence)


def m2m(folder: Path, *, licence: str = "mit", lessons: int = LESSONS) -> Path:
    """An M2M-100 model: sentencepiece.bpe.model, vocab.json, codes of 100 languages after it, eight made-up words."""
    import torch
    from transformers import GenerationConfig, M2M100Config, M2M100ForConditionalGeneration

    folder.mkdir(parents=True)
    pieces = _both_languages(folder)
    vocabulary = {name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces[3:]])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    settings = {
        "tokenizer_class": "M2M100Tokenizer",
        "src_lang": "en",
        "language_codes": "m2m100",
        "num_madeup_words": 8,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "m2m_100"}), "utf-8")
    size = len(vocabulary) + 100 + 8
    config = M2M100Config(**SMALL, vocab_size=size, max_position_embeddings=1024, tokenizer_class="M2M100Tokenizer")
    ids = vocabulary | {"__en__": len(vocabulary) + 18, "__ar__": len(vocabulary) + 2}  # by the alphabet of codes
    torch.manual_seed(1)
    model = M2M100ForConditionalGeneration(config)
    model = _taught(model, _coded_pairs(folder, ids, "__en__", ("__ar__",)), lessons)
    model.generation_config = GenerationConfig(max_length=200, num_beams=5, early_stopping=True, **_ends())
    return _saved(folder, model, settings, licence)


def _with_codes(path: Path) -> dict[str, int]:
    """Put the codes of the languages behind the pieces and <mask> behind them, as the published file has it."""
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    whole = json.loads(path.read_text("utf-8"))
    vocabulary = whole["model"]["vocab"]
    vocabulary.pop("<mask>", None)
    form = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    kept = [added for added in whole["added_tokens"] if added["id"] < 4]
    start = len(vocabulary)
    codes = [*FAIRSEQ_LANGUAGE_CODES, "<mask>"]
    whole["added_tokens"] = kept + [{"id": start + place, "content": code, **form} for place, code in enumerate(codes)]
    path.write_text(json.dumps(whole, ensure_ascii=False), "utf-8")
    return vocabulary | {added["content"]: added["id"] for added in whole["added_tokens"]}


def _both_languages(folder: Path) -> list[str]:
    return sentencepiece(folder / "sentencepiece.bpe.model", [*ENGLISH, *ARABIC], 320, "bpe")


def _ends() -> dict[str, int]:
    return {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}


def _taught(model: Any, pairs: list[tuple[list[int], list[int]]], steps: int) -> Any:
    """The model after it learnt some of (source ids, target ids): it writes words, ends its sentences, and minds the
    token that says which Arabic to write."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import MarianMTModel

    torch.manual_seed(2)
    sources, targets = zip(*((torch.tensor(source), torch.tensor(target)) for source, target in pairs), strict=True)
    pad = model.config.pad_token_id
    ids = pad_sequence(list(sources), batch_first=True, padding_value=pad)
    labels = pad_sequence(list(targets), batch_first=True, padding_value=-100)
    optimiser = torch.optim.AdamW([values for values in model.parameters() if values.requires_grad], lr=5e-3)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=(ids != pad).long(), labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if isinstance(model, MarianMTModel):  # Opus-MT begins from a zero embedding
            model.get_input_embeddings().weight.data[pad] = 0.0
        if loss.item() < LEARNT:
            break
    return model.eval()


def _saved(folder: Path, model: Any, settings: dict[str, Any], licence: str, pickled: bool = False) -> Path:
    import torch

    model.save_pretrained(folder)
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "README.md").write_text(CARD.format(licence), "utf-8")
    return folder
