"""English text for the bundled checkpoints: seeded, made from sentence templates.

Imported by the training scripts only. The standard library is all it needs, so the
same seed gives the same text everywhere.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

Option = TypeVar("Option")

TOPICS = (
    "animals",
    "food",
    "music",
    "outing",
    "sports",
    "travel",
    "weather",
    "work",
)
"""The classifier's labels; a label's id is its position."""

NAMES = (
    *("Hasnain", "Sara", "Ahmed", "Maria", "Daniel", "Aisha", "Tom", "Elena"),
    *("Omar", "Lucy", "David", "Fatima", "Peter", "Nadia", "James", "Mina"),
    *("Ali", "Julia", "Samuel", "Hana", "Victor", "Rosa", "Karim", "Emma"),
    *("Yusuf", "Clara", "Bilal", "Anna", "Marco", "Zara", "Simon", "Leila"),
)

# Every value of a slot stands in order of weight, the likeliest first.
SLOTS: dict[str, tuple[str, ...]] = {
    "years": ("ten", "twenty", "five", "three", "seven", "twelve", "15", "30"),
    "mentor": ("my father", "my aunt", "a good friend", "an old colleague"),
    "pet": ("dog", "cat", "horse", "puppy", "rabbit", "parrot"),
    "temper": ("friendly", "clever", "shy", "lazy", "curious"),
    "color": ("brown", "black", "white", "grey", "golden"),
    "spot": ("the sofa", "the door", "my bed", "the old chair"),
    "toy": ("a red ball", "a wooden stick", "an old shoe", "a long rope"),
    "place": ("park", "river", "forest", "lake", "beach", "garden"),
    "friend": ("my sister", "my friends", "my brother", "my mother", "my children"),
    "dish": ("soup", "rice", "bread", "pasta", "curry", "salad"),
    "spice": ("fresh tomatoes", "garlic", "green beans", "onions", "mushrooms"),
    "taste": ("delicious", "sweet", "salty", "spicy", "warm"),
    "meal": ("dinner", "lunch", "breakfast"),
    "city": ("Istanbul", "Lisbon", "Lahore", "Paris", "Rome", "Oslo", "Cairo"),
    "ride": ("train", "plane", "bus", "ship"),
    "sight": ("museums", "old bridges", "palaces", "narrow streets"),
    "instrument": ("piano", "guitar", "violin", "flute", "trumpet"),
    "genre": ("jazz", "folk", "classical", "rock"),
    "song": ("slow", "beautiful", "famous", "cheerful"),
    "game": ("football", "tennis", "cricket", "basketball", "hockey"),
    "result": ("won", "lost", "almost won"),
    "rain": ("rain", "snow"),
    "cloud": ("grey", "dark", "black", "white"),
    "season": ("winter", "spring", "summer", "autumn"),
    "feel": ("cold", "windy", "sunny", "foggy", "hot"),
    "time": ("a long time", "a minute", "two hours", "a while"),
}

# One template a line, after its topics. Within the same topics the likelier one
# stands first: clear preferences give the greedy path clear margins.
SENTENCES = """
work | I have been working {where} for {years} years.
work | My job is to {task} and to {other_task}.
work | Every morning I meet my team and we plan the day.
work | The work is hard, but I enjoy it very much.
work | When I was young, I wanted to become {job}.
work | I like to {task} because it helps people.
work | We are a small team with good colleagues.
work | It takes patience to {other_task}.
work | Most of the time I {task}.
work | I learned this profession from {mentor}.
work | There is always something new to learn {where}.
work | On Fridays our office closes early.
work | People often ask me how to {other_task}.
work | My boss says that {job} must be careful.
animals | My {pet} sleeps next to {spot}.
animals | The {pet} is {color} and very {temper}.
animals | I feed my {pet} twice a day.
animals | It likes to play with {toy}, as every {pet} does.
animals | We found our {pet} in an animal shelter.
animals | When the {pet} is hungry, it waits at {spot}.
animals | A {pet} needs love, water and clean fur.
animals | The animal doctor says that our {pet} is healthy.
animals | On Sundays I brush the {pet}.
animals | There are two birds and one {pet} in our house.
outing | I was going with {friend} to the {place}.
outing | We walked along the {place} and talked.
outing | The {place} is not far from our house.
outing | I was going to the {place}.
outing | It is nice to sit under the trees at the {place}.
outing | Many families spend the afternoon at the {place}.
outing | In the evening we walked home slowly.
outing | I was going with {friend}.
outing | I like to take a walk with {friend}.
outing | On the way back we rested on a bench.
animals outing | I was going with my {pet} to the {place}.
animals outing | My {pet} ran across the {place} and I followed it.
animals outing | I was going with my {pet}.
animals outing | Every evening I walk with my {pet}.
animals outing | At the {place} we met another {pet}.
animals outing | The {pet} and I went to the {place} together.
food | I cooked {dish} with {spice} for {meal}.
food | The {dish} was {taste} and everybody wanted more.
food | My grandmother taught me how to cook {dish}.
food | First I cut {spice} and then I heat the oil.
food | We ate {dish} in the kitchen.
food | A little salt makes the {dish} better.
food | For {meal} there was {dish} with {spice}.
food | This recipe for {dish} is very old.
food | It smells of butter and {spice}.
travel | We took the {ride} to {city}.
travel | The hotel in {city} was small but clean.
travel | I bought a ticket to {city} and packed my suitcase.
travel | In {city} there are many {sight}.
travel | Our journey by {ride} was long.
travel | My passport was in the suitcase.
travel | Tourists come to {city} to see the {sight}.
travel | When we arrived in {city}, we looked for a map.
travel | It is cheaper to go abroad by {ride}.
music | I play the {instrument} in a {genre} band.
music | The {song} song made everybody dance.
music | We listen to {genre} music at night.
music | My {instrument} teacher sings very well.
music | A concert with a {instrument} is never boring.
music | When the singer stopped, the audience clapped.
music | It is not easy to learn the {instrument}.
music | Her voice is perfect for {genre} songs.
sports | Our team {result} the {game} match.
sports | I train for {game} three times a week.
sports | The players ran fast and the coach was proud.
sports | We play {game} in a big stadium.
sports | A good {game} player never gives up.
sports | My brother scored in the last minute of the match.
sports | In {game} the referee is always right.
sports | The fans of the {game} club were loud.
weather | It was {feel} and the sky was {cloud}.
weather | In {season} it often starts to {rain}.
weather | The clouds are {cloud} and the wind is strong.
weather | It will {rain} tomorrow, says the forecast.
weather | This {season} is too {feel}.
weather | When it is {feel}, we close the windows.
weather | A storm came with thunder and lightning.
weather | The sun came out after the {rain}.
animals outing weather | I was going with my {pet} to the {place} \
when it started to {rain}.
animals outing weather | My {pet} and I walked to the {place} under {cloud} clouds.
outing weather | It was {feel}, so we walked to the {place}.
outing weather | I was going to the {place} when it started to {rain}.
food outing | We sat at the {place} and ate {dish}.
sports outing | We walked to the {place} and played {game}.
animals food | My {pet} watched me while I cooked {dish}.
animals music | The {pet} sleeps when I play the {instrument}.
animals travel | I took my {pet} on the {ride} to {city}.
food travel | In {city} we ate {dish} near the hotel.
music travel | We heard {genre} music on the {ride} to {city}.
sports weather | The {game} match stopped because it started to {rain}.
travel weather | The {ride} to {city} was late because of the {rain}.
food music | I cooked {dish} and listened to {genre} music.
music work | I am {job} and I play the {instrument}.
sports work | I am {job} and I train for {game}.
food work | I am {job} and I like to cook {dish}.
food music travel | In {city} we ate {dish} and listened to {genre} music.
music sports weather | After the {game} match there was a concert in the {rain}.
none | That was {time} ago.
none | I do not know what to say.
none | We will talk about it again.
none | Nobody was sure about the answer.
none | {name} said that it was true.
none | It was the right thing to do.
none | She looked at me and smiled.
none | Maybe it will be better next year.
none | I thought about it for {time}.
none | He did not remember the question.
none | Some things never change.
none | The letter is on the table.
none | They agreed with {name} in the end.
none | There was nothing else to say.
"""

INTRODUCTIONS = (
    "My name is {name} and I am {job}.",
    "Hello, my name is {name} and I am {job}.",
    "My name is {name}.",
    "I am {job}.",
)


@dataclass(frozen=True)
class Profession:
    """A job with its article, where it is done, and what people in it do."""

    job: str
    where: tuple[str, ...]
    tasks: tuple[str, ...]


PROFESSIONS = (
    Profession(
        "a software engineer",
        ("in a small company", "in the computer industry", "at a bank"),
        ("write programs for hospitals", "test new code", "repair old software"),
    ),
    Profession(
        "a nurse",
        ("in a big hospital", "in a village clinic"),
        ("care for the patients", "talk to the doctors", "prepare medicine"),
    ),
    Profession(
        "a teacher",
        ("at the village school", "at a school in the city"),
        ("explain numbers to children", "read stories aloud", "correct homework"),
    ),
    Profession(
        "a baker",
        ("in the bakery of my family", "in a bakery near the station"),
        ("get up before the sun", "fill the oven", "serve the customers"),
    ),
    Profession(
        "a doctor",
        ("in a big hospital", "in my own practice"),
        ("examine the patients", "write reports", "listen to worried parents"),
    ),
    Profession(
        "a farmer",
        ("on a farm in the north", "on my own land"),
        ("drive the tractor", "plant potatoes", "sell the harvest"),
    ),
    Profession(
        "a carpenter",
        ("in a workshop", "at a furniture company"),
        ("build tables and chairs", "measure the wood", "sharpen the tools"),
    ),
    Profession(
        "a librarian",
        ("in the city library", "at the university"),
        ("order new books", "help the students", "repair old pages"),
    ),
    Profession(
        "a journalist",
        ("at a newspaper", "at a radio station"),
        ("write about the city", "ask difficult questions", "check every fact"),
    ),
    Profession(
        "a lawyer",
        ("in an office in the city", "at a bank"),
        ("write contracts", "speak in court", "read the law"),
    ),
    Profession(
        "a mechanic",
        ("in a garage", "in a workshop"),
        ("repair engines", "change the tires", "order spare parts"),
    ),
    Profession(
        "an architect",
        ("in a small company", "in an office in the city"),
        ("draw new houses", "visit the builders", "count the costs"),
    ),
)


@dataclass(frozen=True)
class Template:
    """A sentence with `{slots}` and the topics it is about."""

    text: str
    topics: frozenset[str]


@dataclass(frozen=True)
class Example:
    """A short text and the topics in it, for the classifier."""

    text: str
    topics: frozenset[str]


def parse_templates(table: str) -> tuple[Template, ...]:
    """Read a table of `topics | sentence` lines; `none` stands for no topic."""
    templates = []
    for line in table.strip().splitlines():
        names, text = line.split(" | ")
        topics = frozenset(names.split()) - {"none"}
        if not topics <= set(TOPICS):
            raise ValueError(f"unknown topic in this template: {line}")
        templates.append(Template(text, topics))
    return tuple(templates)


TEMPLATES = parse_templates(SENTENCES)
INTRODUCTION_TEMPLATES = tuple(Template(text, frozenset({"work"})) for text in INTRODUCTIONS)
# Sentences whose topics the suites may rely on; chosen for clear decisions.
KNOWN: dict[str, tuple[str, ...]] = {
    "My name is Hasnain": ("work",),
    "My name is Hasnain and I am a software engineer.": ("work",),
    "I was going with my dog": ("animals", "outing"),
    "I was going with my dog to the park.": ("animals", "outing"),
    "My cat sleeps next to the door.": ("animals",),
    "I cooked soup with garlic for dinner.": ("food",),
    "We listen to jazz music at night.": ("music",),
    "I was going with my sister to the river.": ("outing",),
    "Our team won the tennis match.": ("sports",),
    "We took the train to Lisbon.": ("travel",),
    "It was cold and the sky was grey.": ("weather",),
    "I am a nurse.": ("work",),
    "I do not know what to say.": (),
}
TOPIC_SETS = tuple(dict.fromkeys(t.topics for t in TEMPLATES if t.topics))


def templates_about(topics: frozenset[str]) -> list[Template]:
    """Return the templates about exactly these topics, likeliest first."""
    return [template for template in TEMPLATES if template.topics == topics]


def weighted(rng: random.Random, options: Sequence[Option]) -> Option:
    """Draw an option; an option's weight falls with its position (Zipf's law)."""
    weights = [1 / (rank + 1) for rank in range(len(options))]
    return rng.choices(options, weights)[0]


@dataclass
class Scene:
    """The slot values of one text: drawn when first needed, then kept."""

    rng: random.Random
    values: dict[str, str]

    def value(self, slot: str) -> str:
        """Return the slot's value in this text."""
        if slot not in self.values:
            self.values[slot] = weighted(self.rng, SLOTS[slot])
        return self.values[slot]

    def write(self, template: Template) -> str:
        """Return the template as a sentence."""
        return re.sub(r"{(\w+)}", lambda slot: self.value(slot[1]), template.text)


def new_scene(rng: random.Random) -> Scene:
    """Draw a person with a profession; the other slots are filled as they turn up."""
    profession = rng.choice(PROFESSIONS)
    task = weighted(rng, profession.tasks)
    others = [other for other in profession.tasks if other != task]
    person = {
        "name": rng.choice(NAMES),
        "job": profession.job,
        "where": weighted(rng, profession.where),
        "task": task,
        "other_task": weighted(rng, others),
    }
    return Scene(rng, person)


def favourites(rng: random.Random, options: Sequence[Template], count: int) -> list[Template]:
    """Draw `count` different templates, kept in order of weight."""
    chosen: set[Template] = set()
    while len(chosen) < min(count, len(options)):
        chosen.add(weighted(rng, options))
    return [template for template in options if template in chosen]


def document(rng: random.Random) -> str:
    """Write one document: an opening, then sentences drawn with replacement.

    A document draws from a handful of sentences again and again, so a model of it
    repeats itself under greedy decoding, the way GPT-2 does.
    """
    scene = new_scene(rng)
    if rng.random() < 0.4:
        topic = "work"
        opening = weighted(rng, INTRODUCTION_TEMPLATES)
    else:
        topic = rng.choice(TOPICS)
        opening = rng.choice([t for t in TEMPLATES if topic in t.topics])
    about = frozenset({topic})
    repertoire = favourites(rng, templates_about(about), 5)
    wider = [t for t in TEMPLATES if about < t.topics or not t.topics]
    repertoire.append(rng.choice(wider))
    length = rng.randint(5, 12)
    chosen = [opening, *(weighted(rng, repertoire) for _ in range(length))]
    return " ".join(scene.write(template) for template in chosen)


def documents(seed: int, count: int) -> Iterator[str]:
    """Yield `count` documents; the same seed yields the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        yield document(rng)


def example(rng: random.Random) -> Example:
    """Write a text of one to three sentences and say which topics are in it."""
    scene = new_scene(rng)
    kind = rng.choices((no_topic, one_topic, several_topics), (2, 5, 5))[0]
    templates = kind(rng)
    rng.shuffle(templates)
    text = " ".join(scene.write(template) for template in templates)
    if rng.random() < 0.3:
        text = text.removesuffix(".")  # the last token must not have to be a full stop
    return Example(text, frozenset().union(*(t.topics for t in templates)))


def no_topic(rng: random.Random) -> list[Template]:
    """Draw one or two sentences without any topic."""
    return rng.sample(templates_about(frozenset()), rng.randint(1, 2))


def one_topic(rng: random.Random) -> list[Template]:
    """Draw one to three sentences about the same topic, some with a neutral one."""
    topic = rng.choice(TOPICS)
    pool = templates_about(frozenset({topic}))
    if topic == "work":
        pool += 2 * INTRODUCTION_TEMPLATES
    chosen = [rng.choice(pool) for _ in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.2:
        chosen += no_topic(rng)[:1]
    return chosen


def several_topics(rng: random.Random) -> list[Template]:
    """Draw up to three sentences that are together about two or three topics."""
    while True:
        sets = rng.choices(TOPIC_SETS, k=rng.choice((1, 2, 2, 3)))
        if 2 <= len(frozenset().union(*sets)) <= 3:
            return [rng.choice(templates_about(topics)) for topics in sets]


def examples(seed: int, count: int) -> Iterator[Example]:
    """Yield `count` labelled texts; the same seed yields the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        yield example(rng)
