"""What a study is made of: its reward, words with valences, documents and pairs, out of the registries' entries.

This is the one place where a study asks for data; the entries read files when they are asked, and not before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from tracebank_models.language_model.corpora import CorpusEntry, Part, ReviewCorpus
from tracebank_models.language_model.preference_sets import (
    PairPart,
    PreferenceEntry,
    PreferenceFile,
    PreferenceText,
    PreferenceTexts,
    SampledPreferences,
    scored_preferences,
)
from tracebank_models.language_model.rewards import ClassifierEntry, LexiconEntry, Reward, RewardEntry, ScoresEntry

if TYPE_CHECKING:
    from tracebank_models.language_model.corpus import Document
    from tracebank_models.language_model.lexicon import Lexicon


@dataclass(frozen=True, slots=True)
class StudyData:
    """Entries of the registries."""

    reward: RewardEntry = field(default_factory=LexiconEntry)
    named_words: LexiconEntry | None = None
    corpus: CorpusEntry = field(default_factory=ReviewCorpus)
    preferences: PreferenceEntry = field(default_factory=SampledPreferences)

    @property
    def words(self) -> LexiconEntry:
        """Words with valences that probes, triples and ablations are about: the reward's, or VADER's if it has none."""
        own = self.reward if isinstance(self.reward, LexiconEntry) else LexiconEntry()
        return self.named_words or own

    def lexicon(self) -> Lexicon:
        """Those words.

        Raises:
            ValueError: The file is not right.
        """
        return self.words.lexicon()

    def reward_function(self, device: str = "auto") -> Reward:
        """Reward of any text; where the study's own knows some texts alone (`scores`) it is that of the words.

        Args:
            device: Where a classifier computes.

        Raises:
            ValueError: See the entry.
        """
        if isinstance(self.reward, ClassifierEntry):
            return self.reward.reward(device)
        return (self.words if isinstance(self.reward, ScoresEntry) else self.reward).reward()

    def documents(self, part: Part, count: int) -> list[Document]:
        """The first documents of a part of the corpus, none of which is in another part; all where it has fewer.

        Raises:
            ValueError: There is none, or there are fewer than activations are to be captured on.
        """
        found = self.corpus.documents(part, count)
        if part == "capture" and len(found) < count:
            raise ValueError(
                f"documents: {count:,} are asked for, and the corpus has {len(found):,} to capture activations on;"
                " allowed: as many or fewer"
            )
        return found

    def content_hash(self) -> str:
        """Hash of what the entries say and of what their files hold, wherever; of a classifier its name and revision.

        Raises:
            ValueError: A file is not right.
        """
        pairs = self.preference_texts()
        reward = self.reward.lexicon().content_hash() if isinstance(self.reward, LexiconEntry) else ""
        read = [
            self.lexicon().content_hash(),
            reward,
            self.corpus.content_hash(),
            pairs.content_hash() if pairs else "",
        ]
        entries = (self.reward, self.words, self.corpus, self.preferences)
        said = [repr(msgspec.structs.asdict(entry) | {"path": None}) for entry in entries]
        return hashlib.sha256("\n".join((*said, *read)).encode()).hexdigest()

    @property
    def samples_pairs(self) -> bool:
        """Whether pairs are sampled from the base and ranked by the reward; else a file has them."""
        return isinstance(self.preferences, SampledPreferences) and not isinstance(self.reward, ScoresEntry)

    def preference_texts(self) -> PreferenceTexts | None:
        """Pairs of a file; None where they are sampled from the base and ranked by the reward.

        Raises:
            ValueError: The file is not right.
        """
        if isinstance(self.preferences, PreferenceFile):
            return self.preferences.read()
        return scored_preferences(self.reward) if isinstance(self.reward, ScoresEntry) else None

    def pairs(self, part: PairPart) -> list[PreferenceText] | None:
        """Those of one part.

        Raises:
            ValueError: The file is not right, or no pair is in the part.
        """
        found = self.preference_texts()
        if found is None:
            return None
        if not (chosen := found.part(part)):
            raise ValueError(f"preferences: none of {len(found.pairs)} pairs is for {part}; allowed: more prompts")
        return chosen
