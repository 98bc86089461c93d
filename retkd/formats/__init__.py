"""Training files of other tools, read and written: ``name`` -> format."""

from retkd.formats.base import Format
from retkd.formats.flagembedding import FLAGEMBEDDING
from retkd.formats.nemo import NEMO
from retkd.formats.pylate import PYLATE
from retkd.formats.sentence_transformers import SENTENCE_TRANSFORMERS
from retkd.formats.tevatron import TEVATRON

FORMATS: dict[str, Format] = {
    each.name: each for each in (SENTENCE_TRANSFORMERS, FLAGEMBEDDING, TEVATRON, PYLATE, NEMO)
}
