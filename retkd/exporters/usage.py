"""How an exported graph is used: a README.md whose code runs in the folder as it stands."""

from typing import Any

TEXT = """# {dim}-dimensional retrieval encoder in one ONNX graph

Tokens in, one {normalised}vector out: pooling is part of the graph, so nothing has to be rebuilt in the search stack.
A text is cut at {max_length} tokens. Compare vectors by inner product{cosine}.

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


def usage(told: dict[str, Any]) -> str:
    """The text for an export that ``export.json`` describes."""
    normalised = bool(told["normalised"])
    return TEXT.format(
        dim=told["dim"],
        max_length=told["max_length"],
        normalised="normalised " if normalised else "",
        cosine=", which is the cosine" if normalised else "",
    )
