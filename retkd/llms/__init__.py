"""Language models: who is asked. Teachers judge with them, generators write queries with them."""

from typing import Any

from retkd.llms.local import Transformers
from retkd.llms.openai import OpenAI
from retkd.llms.vllm import VLLM
from retkd.parts import one_of, registry

LLMS = registry("llms", Transformers, OpenAI, VLLM)

AnyLLM: Any = one_of(LLMS)
