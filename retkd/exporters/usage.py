"""How an export is used: a README.md whose code runs in the folder as it stands."""

from collections.abc import Mapping
from typing import Any

ONE = """# {dim}-dimensional retrieval encoder in one ONNX graph

Tokens in, one {normalised}vector out: pooling is part of the graph, so nothing has to be rebuilt in the search stack.
A text is {cut}. Compare vectors by inner product{cosine}.

```python
import json

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

told = json.load(open("export.json", encoding="utf-8"))
tokenizer = Tokenizer.from_file("tokenizer.json")  # it pads to the longest text and cuts at the maximum length
session = InferenceSession("model.onnx")
columns = {{"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}}


def encode(texts, side):
    tokens = tokenizer.encode_batch([told["prompts"][side] + text for text in texts])
    feeds = {{i["name"]: np.array([getattr(t, columns[i["name"]]) for t in tokens], dtype=np.int64) for i in told["inputs"]}}
    return session.run(None, feeds)[0]


print(encode(["read a file line by line"], "query") @ encode(["for line in open(path): ...", "x = 1"], "document").T)
```

`golden.json` holds texts, their token ids and vectors: check them wherever you install the graph. `export.json` names inputs,
outputs, axes, prompts and lengths. The rankings of this graph were compared with the evaluated model's before it was
published; `parity` in the manifest of the export says how near they are.
"""

TWO = """# {dim}-dimensional retrieval encoder in two ONNX graphs

`query/` reads queries, `document/` documents, each into one {normalised}vector. Compare vectors by inner product{cosine}.
Never give a text to the other graph. Documents are encoded once, for the index; a search needs `query/` alone. Pooling is
part of both graphs, so nothing has to be rebuilt in the search stack.

- `query/`: {query}. A query is {query_cut}.
- `document/`: {document}. A document is {document_cut}.

{tokenizers}

```python
import json

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

told = json.load(open("export.json", encoding="utf-8"))
tokenizers = {{side: Tokenizer.from_file(f"{{side}}/tokenizer.json") for side in told["towers"]}}  # they pad and cut
sessions = {{side: InferenceSession(f"{{side}}/model.onnx") for side in told["towers"]}}
columns = {{"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}}


def encode(texts, side):
    tokens = tokenizers[side].encode_batch([told["prompts"][side] + text for text in texts])
    names = [i["name"] for i in told["towers"][side]["inputs"]]
    feeds = {{name: np.array([getattr(t, columns[name]) for t in tokens], dtype=np.int64) for name in names}}
    return sessions[side].run(None, feeds)[0]


print(encode(["read a file line by line"], "query") @ encode(["for line in open(path): ...", "x = 1"], "document").T)
```

`golden.json` of each folder holds texts, their token ids and vectors: check them wherever you install the graph.
`export.json` names prompts, and for each tower inputs, outputs, axes and length. The rankings of both graphs together
were compared with the evaluated model's before they were published; `parity` in the manifest of the export says how near
they are.
"""
SAME = "Both folders have the same `tokenizer.json`."
UNLIKE = (
    "The two `tokenizer.json` differ, in words, markers or the length at which they cut: use each with its own graph."
)


def usage(told: Mapping[str, Any]) -> str:
    """The text for an export that ``export.json`` describes."""
    if "towers" not in told:
        return ONE.format(dim=told["dim"], cut=_cut(told), **_length(bool(told["normalised"])))
    towers = told["towers"]
    return TWO.format(
        dim=told["dim"],
        **{side: _tower(tower) for side, tower in towers.items()},
        **{f"{side}_cut": _cut(tower) for side, tower in towers.items()},
        **_length(all(tower["normalised"] for tower in towers.values())),
        tokenizers=SAME if told["same_tokenizer"] else UNLIKE,
    )


def _length(normalised: bool) -> dict[str, str]:
    """What unit vectors are called, and what their inner product is."""
    words = ("normalised ", ", which is the cosine")
    return dict(zip(("normalised", "cosine"), words if normalised else ("", ""), strict=True))


def _cut(tower: Mapping[str, Any]) -> str:
    return "read whole" if tower["max_length"] is None else f"cut at {tower['max_length']} tokens"


def _tower(tower: Mapping[str, Any]) -> str:
    """What a tower is, in words."""
    if "StaticEmbedding" in tower["modules"]:
        return "a table of word vectors, whose mean a text gets: zeros where it has no word. There are no markers such as [CLS]"
    return f"a transformer with {tower['pooling']} pooling"
