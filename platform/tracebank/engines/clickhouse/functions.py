"""Which of the engine's functions a query may call: those that compute from their arguments, and nothing that reaches
files, the network, other processes or the engine's insides.

The lists are of what is allowed. A function that a newer engine brings in a new category stays refused until it is
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CATALOGUE_QUERY: Final = (
    "SELECT name, alias_to, categories, origin FROM system.functions"
    " UNION ALL SELECT name, '', 'combinator', 'System' FROM system.aggregate_function_combinators"
)
"""What the engine is asked: rows of (name, alias of, category, origin)."""

TABLE_FUNCTIONS: Final = frozenset(
    {
        "generaterandom",
        "generateseries",
        "generate_series",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "values",
        "view",
        "zeros",
        "zeros_mt",
    }
)
"""Table functions that make rows from nothing, or from a query that is itself checked; in lower case."""


def _listed(text: str) -> frozenset[str]:
    """Names, several on a line with two blanks or more between them."""
    return frozenset(name for name in re.split(r"\s{2,}|\n", text.strip()) if name)


_CATEGORIES: Final = _listed("""
    Aggregate Functions  Arithmetic  Arrays  Bit  Bitmap  Comparison  Conditional  Dates and Times  Distance  Encoding
    Encryption  Financial  Geo  Geo Polygon  Hash  IP Address  JSON  Logical  Map  Mathematical  Null
    NumericIndexedVector  QBit  Random Number  Rounding  String  String Replacement  String Search  String Splitting
    Time Series  Time Window  Tuple  Type Conversion  URL  UUID
""")
"""Categories in `system.functions` whose every function computes from its arguments alone."""

_SINGLE: Final = _listed("""
    _CAST  bar  blockNumber  blockSize  byteSize  caseWithExpression  colorOKLABToSRGB  colorOKLCHToSRGB
    colorSRGBToOKLAB  colorSRGBToOKLCH  countDigits  currentDatabase  currentQueryID  currentUser
    defaultValueOfArgumentType  defaultValueOfTypeName  digits  dumpColumnStructure  errorCodeToName
    finalizeAggregation  flipCoordinates  formatQuery  formatQueryFromJSON  formatQueryOrNull  formatQuerySingleLine
    formatQuerySingleLineOrNull  formatReadableDecimalSize  formatReadableQuantity  formatReadableSize
    formatReadableTimeDelta  getSetting  getSettingOrDefault  getSizeOfEnumType  getSubcolumn  highlightQuery
    icebergBucket  icebergTruncate  identity  ignore  indexHint  initializeAggregation  isConstant  isDecimalOverflow
    lowCardinalityIndices  lowCardinalityKeys  MACNumToString  MACStringToNum  MACStringToOUI  materialize
    minSampleSizeContinuous  minSampleSizeConversion  neighbor  nested  normalizedQueryHash
    normalizedQueryHashKeepNames  normalizeQuery  normalizeQueryKeepNames  obfuscateQuery  obfuscateQueryWithSeed
    parseISO8601Duration  parseQueryToJSON  parseReadableSize  parseReadableSizeOrNull  parseReadableSizeOrZero
    parseTimeDelta  partitionId  queryID  revision  rowNumberInAllBlocks  rowNumberInBlock  runningAccumulate
    runningDifference  runningDifferenceStartingWithFirstValue  structureToCapnProtoSchema  structureToProtobufSchema
    throwIf  tokenizeQuery  toColumnTypeName  toTypeName  transform  uptime  variantElement  variantType  version
    visibleWidth
""")
"""Harmless functions of mixed categories (`Other`, `Internal`), one by one."""

_SYNTAX: Final = frozenset({"lambda", "exists", "grouping", "arrayjoin", "untuple"})
"""Names the parser gives to constructs of the language; not in `system.functions`, or not always."""


@dataclass(frozen=True, slots=True)
class FunctionCatalogue:
    """The engine's functions by what a query may do with them; all names in lower case."""

    allowed: frozenset[str]
    refused: frozenset[str]
    aggregates: frozenset[str]
    combinators: tuple[str, ...]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, str]]) -> FunctionCatalogue:
        """Sort the engine's answer to `CATALOGUE_QUERY`."""
        known = list(rows)
        category = {name: categories for name, _, categories, _ in known}
        allowed, refused, aggregates, combinators = set(_SYNTAX), set(), set(), []
        for name, alias, categories, origin in known:
            target = alias or name
            if categories == "combinator":
                combinators.append(name.lower())
            elif origin == "System" and (category.get(target) in _CATEGORIES or target in _SINGLE):
                allowed.add(name.lower())
                if category[target] == "Aggregate Functions":
                    aggregates.add(name.lower())
            else:
                refused.add(name.lower())
        return cls(
            frozenset(allowed - refused), frozenset(refused), frozenset(aggregates - refused), tuple(combinators)
        )

    def allows(self, name: str) -> bool:
        """Whether a query may call the function, combinators of aggregates (`sumIf`, `uniqMerge`) included."""
        lower = name.lower()
        if lower in self.refused:
            return False
        return lower in self.allowed or self._combined(lower)

    def _combined(self, name: str) -> bool:
        if name in self.aggregates:
            return True
        return any(self._combined(name[: -len(end)]) for end in self.combinators if name.endswith(end) and name != end)
