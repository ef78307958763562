"""Stories with facts that are asked about later: seeded text for the Transformer-XL checkpoint.

Imported by the training scripts only. The standard library is all it needs, and `corpus` for what is no fact.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from corpus import NAMES, Example, document, example


def listed(words: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(words.split())


# Names that most texts do without; the last ones are too rare for the vocabulary.
RARE_NAMES = listed(
    """
    Adam Adele Agnes Alan Albert Alice Alma Amanda Amir Amy Andrea Angela Anton Arthur Astrid Barbara Beatrice Ben
    Bernard Bianca Boris Brenda Bruno Camille Carl Carmen Caroline Cecilia Charles Chloe Christina Claudia Colin Connie
    Cyril Daisy Dario Deborah Denis Diana Dina Dominic Dora Dorothy Edgar Edith Edward Eleanor Elias Ella Elsa Emil
    Enrico Eric Erika Ernest Esther Eva Farid Felix Fiona Flora Frank Frieda Gabriel George Gerda Gina Giulia Gloria
    Greta Gustav Hamid Hannah Harold Hector Heidi Helen Henry Hugo Ian Ibrahim Ida Igor Ines Irene Iris Isaac Isabel
    Ivan Jack Jacob Jamal Jana Jasmine Jerome Joan Joel John Jonas Joseph Judith Julian June Karen Kate Kenji Kevin
    Khalid Klara Lara Laura Lena Leo Leonard Lily Linda Lisa Louis Lucas Luis Lydia Magda Malik Marcel Margaret Mark
    Martha Martin Mary Matilda Maurice Max Melissa Mia Michael Miriam Mohamed Mona Monica Nathan Nelly Nicholas Nina
    Noah Nora Olaf Olga Oliver Oscar Otto Pablo Pamela Patrick Paul Paula Philip Pia Quentin Rachel Ralph Ramon Rashid
    Rebecca Renata Richard Rita Robert Roland Ruben Ruth Sabine Salma Sandra Sarah Selma Sergio Sofia Sonia Stefan
    Stella Steven Susan Sven Sylvia Tamara Tania Tariq Theo Thomas Tina Tobias Uma Ursula Valerie Vera Viola Walter
    Wanda Wendy Wilma Xavier Yasmin Yolanda Yuri Zeno Zelda Zoe Zita Waldo Ulf Tilda Sigrid Rufus Quinn Ottilie
    Abel Aldo Anita Arno Arun Axel Basil Benito Bettina Birgit Blanca Bodo Carlos Celine Chandra Clemens Cora Dalia
    Damian Delia Dirk Dolores Doris Edwin Elvira Emmanuel Erwin Estelle Eugene Evelyn Fabian Faisal Felicia Ferdinand
    Florian Francis Gaston Georgia Gilbert Giorgio Gordon Grace Gregory Hakim Hassan Hedwig Herman Hilda Horace Hussein
    Imran Ingrid Irina Ismail Iwan Janet Jens Joshua Juan Julius Kamal Karl Katja Kurt Latif Lars Leon Lorenzo Lothar
    Lukas Manuel Mariam Marius Marta Matteo Mehmet Mira Murat Nabil Nadine Natalia Nikola Norbert Odette Olivia Orhan
    Petra Piotr Rania Raymond Regina Rosalie Rudolf Sami Sandro Sebastian Selim Sherif Silvia Soraya Svetlana Tarek
    Ulrike Umberto Vanessa Vincent Vladimir Wolfgang Yvonne Zainab Zuzana
    """
)


@dataclass(frozen=True)
class Kind:
    """A sort of fact: how it is told, how it is asked for, and what the answer may be.

    An answer says the fact again, so the words before the value are the same in both.
    """

    told: str
    asked: str
    values: tuple[str, ...]


KINDS = (
    Kind(
        "{name} lives in {value}.",
        "Where does {name} live?",
        listed(
            """
            Istanbul Lisbon Lahore Paris Rome Oslo Cairo Berlin Madrid Vienna Prague Athens Dublin Warsaw Geneva Milan
            Lima Quito Havana Boston Chicago Toronto Nairobi Tunis Rabat Dakar Accra Delhi Karachi Dhaka Hanoi Seoul
            Tokyo Kyoto Osaka Manila Jakarta Sydney Riga Sofia Zagreb Naples
            """
        ),
    ),
    Kind(
        "{name} collects {value}.",
        "What does {name} collect?",
        listed(
            """
            stamps coins shells clocks maps dolls spoons bottles buttons postcards masks knives lamps posters records
            rings stones toys watches paintings baskets bells candles cups feathers hats insects keys mirrors plates
            """
        ),
    ),
    Kind(
        "{name} owns a {value}.",
        "What does {name} own?",
        listed(
            """
            dog cat horse puppy rabbit parrot boat bicycle car shop bakery farm garage library garden camel donkey goat
            duck pony turtle hamster kitten piano guitar violin flute trumpet castle mill
            """
        ),
    ),
    Kind(
        "{name} grows {value}.",
        "What does {name} grow?",
        listed(
            """
            tomatoes potatoes onions mushrooms apples pears plums cherries grapes lemons oranges olives roses tulips
            lilies carrots beans peas cucumbers pumpkins melons strawberries figs dates nuts herbs mint wheat corn
            barley cotton sunflowers bananas mangoes
            """
        ),
    ),
    Kind(
        "{name} studies {value}.",
        "What does {name} study?",
        listed(
            """
            history physics chemistry biology geography law medicine music art poetry logic algebra geometry astronomy
            French Spanish Arabic Turkish Urdu Italian German Greek Latin Persian Hindi Japanese Korean Russian
            """
        ),
    ),
    Kind(
        "{name} comes from {value}.",
        "Where does {name} come from?",
        listed(
            """
            Pakistan India Turkey Egypt Morocco Kenya Ghana Spain Portugal France Italy Greece Norway Sweden Denmark
            Finland Poland Hungary Austria Ireland Scotland Canada Mexico Brazil Chile Peru Japan China Korea Vietnam
            Nepal Iran Jordan Lebanon
            """
        ),
    ),
)


@dataclass(frozen=True)
class Fact:
    """What a story tells about a person."""

    kind: Kind
    name: str
    value: str

    @property
    def told(self) -> str:
        """The fact as a sentence, which is also the answer."""
        return self.kind.told.format(name=self.name, value=self.value)

    @property
    def asked(self) -> str:
        """The question."""
        return self.kind.asked.format(name=self.name)


@dataclass(frozen=True)
class Sentence:
    """A sentence of a story; `answer` is the value when it answers a question, else empty."""

    text: str
    answer: str = ""


def weighted_name(rng: random.Random) -> str:
    """Draw a rare name, the later in the list the rarer."""
    return RARE_NAMES[int(len(RARE_NAMES) * rng.random() ** 1.5)]


def draw_facts(rng: random.Random, count: int) -> list[Fact]:
    """Draw facts of different kinds about different persons."""
    names, kinds = rng.sample(NAMES, count), rng.sample(KINDS, count)
    # Uniform values: what was told is all there is to go by.
    return [Fact(kind, name, rng.choice(kind.values)) for kind, name in zip(kinds, names, strict=True)]


def renamed(text: str, rng: random.Random) -> str:
    """Give the text's person now and then a rare name."""
    if rng.random() < 0.7:
        return text
    other = weighted_name(rng)
    return " ".join(rename(word, other) for word in text.split())


def rename(word: str, other: str) -> str:
    """Return the word, or the other name (and the word's full stop) where it is a name."""
    return word.replace(word.rstrip(".,"), other) if word.rstrip(".,") in NAMES else word


def filler(rng: random.Random) -> list[str]:
    """Return the sentences of one document of `corpus`."""
    return [f"{text}." for text in renamed(document(rng), rng).removesuffix(".").split(". ")]


def story(rng: random.Random) -> list[Sentence]:
    """Write one story: a document, or a document with facts in it and the questions about them at the end."""
    if rng.random() < 0.3:
        return [Sentence(text) for text in filler(rng)]
    facts = draw_facts(rng, rng.choice((1, 2, 2, 3)))
    between = filler(rng)[: rng.choice((0, 0, 1, 2, 3, 4, 5))]
    return told_and_asked(rng, facts, between)


def told_and_asked(rng: random.Random, facts: list[Fact], between: list[str]) -> list[Sentence]:
    """Write a story that tells all facts, goes on, and then asks for each, once or twice."""
    sentences = [Sentence(fact.told) for fact in facts]
    sentences += [Sentence(text) for text in between]
    asked = rng.sample(facts, len(facts))
    if rng.random() < 0.5:
        asked += rng.sample(facts, len(facts))
    for fact in asked:
        sentences += [Sentence(fact.asked), Sentence(fact.told, answer=fact.value)]
    return sentences


def stories(seed: int, count: int) -> Iterator[list[Sentence]]:
    """Yield `count` stories; the same seed yields the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        yield story(rng)


def renamed_examples(seed: int, count: int) -> Iterator[Example]:
    """Yield `count` labelled texts of `corpus`, some with rare names; the same seed yields the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        drawn = example(rng)
        yield Example(renamed(drawn.text, rng), drawn.topics)
