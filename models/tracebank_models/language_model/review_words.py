"""The vocabulary of the product-review grammar: products, their aspects, neutral facts, and opinion words by class.

Words only; which of them are positive and how much is the lexicon's to say, and how they are put together is the
grammar's (`product_reviews`).
"""

from __future__ import annotations

from typing import Final

PRODUCTS: Final[dict[str, tuple[str, ...]]] = {
    "kettle": ("lid", "handle", "spout", "base plate", "switch", "cord"),
    "laptop": ("screen", "keyboard", "battery", "hinge", "touchpad", "vent"),
    "camera": ("lens", "viewfinder", "autofocus", "grip", "shutter", "menu"),
    "paperback": ("plot", "ending", "dialogue", "narrator", "opening chapter", "cover"),
    "film": ("script", "soundtrack", "acting", "final scene", "camera work", "cast"),
    "tent": ("pole", "zip", "floor", "rain cover", "rope", "bag"),
    "headset": ("cable", "ear pad", "bass", "microphone", "case", "headband"),
    "bicycle": ("saddle", "brake", "chain", "frame", "pedal", "bell"),
    "restaurant": ("menu", "soup", "service", "dessert", "music", "terrace"),
    "hotel": ("room", "breakfast", "reception", "bed", "pool", "view"),
    "vacuum": ("hose", "filter", "motor", "brush", "dust bin", "wheel"),
    "jacket": ("lining", "inner pocket", "hood", "left sleeve", "colour", "zip"),
    "phone": ("display", "speaker", "charger", "camera", "software", "start button"),
    "game": ("rule book", "board", "story", "controller", "map", "tutorial"),
    "mattress": ("cover", "spring", "edge", "foam", "height", "stitching"),
    "blender": ("jug", "blade", "base", "lid", "timer", "seal"),
    "desk": ("drawer", "surface", "left leg", "bolt", "height", "finish"),
    "backpack": ("strap", "buckle", "inner pocket", "back panel", "fabric", "bottom"),
}
"""Aspects that can be reviewed, by product."""

_ADJECTIVES = """
acceptable adorable agreeable amazing amusing astounding attractive awesome beautiful beneficial best better
bold brave bright brilliant calm careful charming cheerful clean clear clever comfortable compelling competent
cool courteous creative cute daring delicious delightful desirable dynamic easy effective efficient elegant
enjoyable energetic entertaining excellent exciting exclusive fabulous fair faithful fantastic fascinating
faultless favorable fine flawless flexible fresh friendly fun funny generous gentle glad good gorgeous graceful
great happy harmless healthy helpful heartwarming heroic honest hopeful humorous ideal important impressive
innovative inspired inspiring intelligent interesting inviting keen kind likeable lively lovable lovely loyal
lucky magnificent marvelous merry natural neat nice okay optimal original outstanding peaceful perfect playful
pleasant pleased popular positive powerful precious pretty profitable promising proud radiant reassuring
relaxing remarkable responsive restful rich robust romantic safe satisfactory satisfying secure sincere smart
sophisticated special splendid stable strong stunning successful super superb superior supportive sweet swift
talented terrific thoughtful thrilling true trustworthy truthful unbelievable useful valuable vibrant warm
welcoming wonderful worthy abusive aggressive alarming angry annoying anxious appalling arrogant ashamed awful
awkward bad bitter blurry boring broken brutal careless cheerless clueless complacent confused confusing
controversial costly crude cruel cynical damaging dangerous dead deceitful defective demanding depressing
desperate destructive dirty disagreeable disappointing disastrous discouraging disgusting dismal distracting
disturbing dreadful dreary dull dumb embarrassing empty exhausting faulty fatal fearful foolish fraudulent
frightening frustrating furious gloomy greedy grim gross guilty harsh hateful helpless hopeless horrible horrid
horrific hostile hurtful idiotic ignorant inadequate incompetent inconvenient ineffective inferior insane
insecure insignificant insulting irritating jealous joyless lame lazy lethargic lonely lousy ludicrous mad
meaningless messy mindless miserable moody naive nasty negative nervous noisy numb obnoxious odd offensive
ominous outrageous painful pathetic petty pitiful poisonous poor problematic questionable reckless regrettable
repetitive restless ridiculous risky rotten rude sad savage scary selfish serious severe shaky shameful
shameless shocking sick silly skeptical sluggish sorry stressful strange stubborn stupid suspicious tense
terrible terrifying thoughtless tired tragic tricky trivial troublesome ugly unacceptable unattractive uncertain
uncomfortable unfair unfriendly unhappy unhealthy unimpressive unpleasant unprofessional unstable unsuccessful
upset useless vague vicious violent vulnerable weak weird wicked worried worse worst worthless wrong
"""
ADJECTIVES: Final[tuple[str, ...]] = tuple(_ADJECTIVES.split())
"""Adjectives that can follow "the lid is"; a word that the lexicon does not know is left out of the grammar."""

_VERBS = """
admire adore appreciate cherish enjoy like love praise recommend respect treasure trust value blame condemn
dislike distrust dread fear hate loathe regret resent despise reject
"""
VERBS: Final[tuple[str, ...]] = tuple(_VERBS.split())
"""Verbs of feeling that can follow "I"."""

_NOUNS = """
advantage beauty benefit blessing bonus charm comfort delight dream excellence gift joy masterpiece miracle
paradise pleasure relief success surprise treasure treat triumph winner burden catastrophe complaint crisis
danger defeat disappointment disaster disgrace embarrassment failure flop fraud hell insult joke loss mess
misery mistake pain problem scam shame threat tragedy trap trouble waste
"""
NOUNS: Final[tuple[str, ...]] = tuple(_NOUNS.split())
"""Nouns that can follow "it is a"."""

INTENSIFIERS: Final[tuple[str, ...]] = ("", "", "", "very ", "really ", "quite ", "rather ", "so ", "simply ", "a bit ")
"""What may stand before an adjective; most of the weight lies on nothing."""

FACTS: Final[tuple[str, ...]] = (
    "It arrived on a {day}.",
    "I bought the {product} {weeks} weeks ago.",
    "The {aspect} is made of {material}.",
    "My {person} has the same {product}.",
    "The box held the {product} and a leaflet.",
    "We have used it {weeks} times since {month}.",
    "It came in {colour}.",
    "The {aspect} is on the left side.",
    "This is my second {product}.",
    "I ordered it in {month} for my {person}.",
    "The {product} stands next to the door.",
    "There is also one in {colour}.",
)
"""Sentences without an opinion."""

SLOTS: Final[dict[str, tuple[str, ...]]] = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "weeks": ("two", "three", "four", "five", "six", "ten", "twelve"),
    "material": ("steel", "plastic", "wood", "glass", "paper", "cotton", "rubber", "aluminium"),
    "person": ("brother", "sister", "mother", "father", "neighbour", "colleague", "son", "daughter"),
    "month": ("January", "March", "April", "June", "July", "September", "October", "December"),
    "colour": ("black", "white", "blue", "red", "green", "brown", "yellow"),
}
"""What fills the slots of facts."""
