"""Tiny real models and a tiny real collection: made in under a second, offline, the same bytes for the same seed."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"()[]{}_-+*/=<>@#$%&"
SYLLABLES = ("ba", "co", "di", "fu", "ga", "le", "mi", "no", "pa", "ru", "se", "ti", "vo", "zu")
WORDS = tuple(a + b + c for a in SYLLABLES for b in SYLLABLES[:8] for c in ("", "n", "r"))
COMMON, RARE = WORDS[:36], WORDS[36:]


def tiny_encoder(
    folder: Path,
    seed: int = 0,
    layers: int = 2,
    dim: int = 32,
    words: Sequence[str] = WORDS,
    max_length: int = 64,
    prompts: dict[str, str] | None = None,
    pooling: str = "mean",
) -> Path:
    """Save a random BERT with pooling and normalisation as a sentence-transformers folder; the folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    checkpoint = tiny_bert(folder.with_name(f".{folder.name}.bert"), seed, layers, dim, words, max_length)
    transformer = Transformer(str(checkpoint), max_seq_length=max_length)
    modules = [transformer, Pooling(dim, pooling_mode=pooling), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def tiny_word_encoder(folder: Path, seed: int = 4) -> Path:
    """Save the like with a head for words in its checkpoint, whose bias is not zero; the folder."""
    import torch
    from transformers import AutoModelForMaskedLM

    tiny_encoder(folder)
    words = tiny_bert(folder.with_name(f".{folder.name}.words"), seed, 2, 32, WORDS, 64, "BertForMaskedLM")
    model = AutoModelForMaskedLM.from_pretrained(words)
    torch.nn.init.normal_(model.cls.predictions.bias, generator=torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    return folder


def tiny_cross_encoder(
    folder: Path, seed: int = 0, layers: int = 2, dim: int = 32, words: Sequence[str] = WORDS, max_length: int = 96
) -> Path:
    """Save a random BERT that gives one score to a pair of texts; the folder."""
    return tiny_bert(folder, seed, layers, dim, words, max_length, "BertForSequenceClassification")


def tiny_sparse_encoder(
    folder: Path, seed: int = 0, words: Sequence[str] = WORDS, max_length: int = 64, bias: float = -2.0, **settings: int
) -> Path:
    """Save a random BERT with its words' logits and SPLADE pooling as a sentence-transformers folder; the folder.

    ``bias`` on every logit leaves a text with a sixth of the words.
    """
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    checkpoint = tiny_bert(folder.with_name(f".{folder.name}.bert"), seed, 2, 32, words, max_length, "BertForMaskedLM")
    transformer = Transformer(str(checkpoint), max_seq_length=max_length, transformer_task="fill-mask")
    transformer.auto_model.cls.predictions.bias.data.fill_(bias)
    model = SparseEncoder(modules=[transformer, SpladePooling("max")], device="cpu", **settings)
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def tiny_bert(
    folder: Path, seed: int, layers: int, dim: int, words: Sequence[str], max_length: int, kind: str = "BertModel"
) -> Path:
    """Save a random BERT of that class and its WordPiece tokeniser as a transformers folder; the folder."""
    import torch
    import transformers
    from transformers import BertConfig

    tokenizer = tiny_tokenizer(words, max_length)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * dim,
        max_position_embeddings=max_length,
        initializer_range=0.2,
        num_labels=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, kind)(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_tokenizer(words: Sequence[str] = WORDS, max_length: int = 64):  # type: ignore[no-untyped-def]
    """A lower-casing WordPiece tokeniser of ``words`` and single characters, so that any ASCII text has tokens."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = [*SPECIAL, *CHARACTERS, *("##" + c for c in CHARACTERS), *words]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def tiny_collection(folder: Path, num_documents: int = 60, num_queries: int = 30, seed: int = 0) -> Path:
    """Write a BEIR folder; a query holds two of its document's three rare words. Splits train/dev/test as 60/20/20 %.

    Documents are ``d0``, ``d1``, ...; query ``q7`` asks for ``d7`` (modulo ``num_documents``), grade 1.
    """
    rng = random.Random(seed)
    rare = [rng.sample(RARE, 3) for _ in range(num_documents)]
    documents, queries = [], []
    for number, words in enumerate(rare):
        filler = rng.choices(COMMON, k=rng.randint(4, 16))
        text = rng.sample(words + filler, len(words) + len(filler))
        documents.append({"_id": f"d{number}", "title": " ".join(words[:1]), "text": " ".join(text)})
    for number in range(num_queries):
        words = rng.sample(rare[number % num_documents], 2) + rng.choices(COMMON, k=2)
        queries.append({"_id": f"q{number}", "text": " ".join(rng.sample(words, 4))})
    _write_lines(folder / "corpus.jsonl", map(json.dumps, documents))
    _write_lines(folder / "queries.jsonl", map(json.dumps, queries))
    cuts = {"train": (0, num_queries * 3 // 5), "dev": (num_queries * 3 // 5, num_queries * 4 // 5)}
    for split, (start, stop) in (cuts | {"test": (num_queries * 4 // 5, num_queries)}).items():
        rows = [f"q{n}\td{n % num_documents}\t1" for n in range(start, stop)]
        _write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])
    return folder


def _write_lines(path: Path, lines) -> None:  # type: ignore[no-untyped-def]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def tiny_inputs(
    root: Path, models: dict[str, Path], artifacts: dict[str, Path] | None = None, seed: int = 0, **runtime
):  # type: ignore
    """What a stage is given: the tiny collection under ``root``, these models and artifacts, one CPU thread."""
    from retkd.collections.beir import Beir
    from retkd.digests import FileDigests
    from retkd.stage import Inputs, Model, Runtime

    folder = root / "collection"
    if not folder.exists():
        tiny_collection(folder)
    digests = FileDigests(root / "digests.json")
    return Inputs(
        collection=Beir(path=folder).open(root / "cache"),
        artifacts=artifacts or {},
        models={name: Model(name, path, digests.model(path)) for name, path in models.items()},
        manifests={},
        seed=seed,
        runtime=Runtime(device="cpu", threads=1, **runtime),
        store=root / "store",
        key="0" * 64,
    )
