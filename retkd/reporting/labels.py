"""What systems are called in front of people."""

SYSTEMS = {
    "bm25": "BM25",
    "zero_shot": "zero-shot student",
    "control": "contrastive control",
    "teacher": "teacher",
    "student": "distilled student",
}


def label(system: str) -> str:
    """The label of a system; its own name when it is not one of the five.

    >>> label("control"), label("rrf")
    ('contrastive control', 'rrf')
    """
    return SYSTEMS.get(system, system)


def tone(system: str) -> str:
    """The colour class of a system.

    >>> tone("student"), tone("rrf")
    ('student', 'other')
    """
    return system if system in SYSTEMS else "other"


def spaced(name: str) -> str:
    """A key of a manifest as words.

    >>> spaced("search_ms_per_query")
    'search ms per query'
    """
    return name.replace("_", " ")
