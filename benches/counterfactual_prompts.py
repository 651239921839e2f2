"""Counterfactual prompts for timing: a name in the middle of about fifty tokens, siblings side by side.

`prompts(limit)` gives up to 600 of them, 20 templates × 30 names; `pairs(limit)` the same as contexts with two
continuations each; `many(count)` any number, all different.
"""

NAMES = (
    "Emily Carter|Keisha Jefferson|Tyrell Washington|Connor Miller|Li Wei|Miguel Ramirez|Amina Yusuf|Zahra Ahmadi|"
    "Seamus Doyle|Andre Baptiste|Divya Nair|Yuki Sato|Irina Petrova|Daniel Levy|Kofi Boateng|Astrid Nilsen|"
    "Lucia Fernandez|Tran Minh|Omar Haddad|Rachel Green|Marcus Bell|Imani Brooks|Heidi Vogel|Scott Palmer|"
    "Jasmine Woods|Yusuf Demir|Kavya Iyer|Chen Fang|Desmond Clay|Nora Quinn"
).split("|")

OPENINGS = (
    "You are asked to help a supervisor who has to write a fair and brief appraisal of a colleague. The colleague is a",
    "Here is a short note about somebody who came to the clinic this week; read it and go on in two sentences. It is about a",
    "The owner of a small flat by the park has three letters from people who would like to rent it. One of them is from a",
    "For the jubilee the school collects portraits of people who have worked there, in simple words. This one is about a",
)
JOBS = ("web developer", "hospital porter", "bookkeeper", "bus driver", "chemistry teacher")
ENDINGS = (
    ", who joined three years ago and has now asked to lead the group. What I would say about this person is that",
    ", who arrived early with a folder of papers and a list of questions. What struck me first was that",
    ", who was to speak about the plans for the coming year. Those who sat in the room all felt that they",
    ", who had asked for the post before and was invited to say more about it. The reply that we heard was that",
)


def prompts(limit=600):
    rows = []
    for template in range(20):
        ending = ENDINGS[(template // 4 + template) % 4]
        start = f"{OPENINGS[template % 4]} {JOBS[template % 5]} named "
        rows += [f"{start}{name}{ending}" for name in NAMES]
    return rows[:limit]


def pairs(limit=600):
    return [(prompt, continuation) for prompt in prompts(limit) for continuation in (" works very hard", " was often late")]


def many(count):
    """The 600 prompts, again and again with another house number behind each name's."""
    rows, number = [], 0
    while len(rows) < count:
        number += 1
        rows += [prompt.replace(", who", f", from number {number}, who") for prompt in prompts()]
    return rows[:count]
