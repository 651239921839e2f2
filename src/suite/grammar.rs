//! Lists the keys of a suite file with what they may hold: the reader refuses all others, and the JSON Schema is made of it.

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// Text that is not empty; a number counts as what it spells.
    Text,
    /// A whole number of at least this.
    Count(u64),
    Number,
    Flag,
    /// Left empty.
    Nothing,
    /// One of these words.
    Word(&'static [&'static str]),
    List(&'static Shape),
    Map(&'static Form),
    /// A map from names of the author's own.
    Named(&'static Shape),
    Either(&'static [Shape]),
}

/// A map with known keys.
#[derive(Debug)]
pub struct Form {
    /// What the schema calls it.
    pub name: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    pub doc: &'static str,
}

pub const fn may(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, required: false, doc }
}

pub const fn must(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, required: true, doc }
}

pub static SUITE: Form = Form {
    name: "suite",
    fields: &[
        must("suite", Shape::Text, "The suite's name: lower case, digits and hyphens; it becomes a folder."),
        must("version", Shape::Count(1), "Raise it whenever the suite's content changes."),
        may("description", Shape::Text, "The question that the suite asks, in plain words."),
        may("source", Shape::Text, "Where its text and its lists come from."),
        may("license", Shape::Text, "How it may be used."),
        may("private", Shape::Flag, "True: no prompt and no answer in pages."),
        may("axes", Shape::Named(&Shape::Map(&AXIS)), "Protected attributes and their groups."),
        may(
            "factors",
            Shape::Named(&Shape::Either(&[TEXTS, Shape::Map(&FACTOR)])),
            "What varies for coverage and is held fixed inside a counterfactual set.",
        ),
        may(
            "templates",
            Shape::Named(&Shape::Either(&[Shape::Text, Shape::Map(&TEMPLATE)])),
            "Prompts with slots, as {{ gender.name }} and {{ occupation }}.",
        ),
        may(
            "cases_from",
            Shape::Either(&[Shape::Text, Shape::Map(&CASES_FROM)]),
            "A CSV or JSONL file of listed cases, in place of axes, factors and templates.",
        ),
        may("design", Shape::Map(&DESIGN), "Which of all combinations are asked."),
        must(
            "probes",
            Shape::List(&Shape::Either(&[Shape::Word(&["generate", "choice", "likelihood"]), Shape::Map(&PROBE)])),
            "How cases are put to a model, each kind at most once.",
        ),
        may("scorers", Shape::List(&SCORER), "What scores generated text: a name, or one name with its options."),
        may(
            "similarity",
            Shape::List(&Shape::Word(&["cosine", "rouge_l", "bleu", "jaccard", "serp", "prag"])),
            "How the answers of a counterfactual set are compared as texts, beside their noise floor.",
        ),
        may("lexicon", Shape::Text, "A file with a word or phrase a line, which the scorer hurtful looks for."),
        may("outcomes", Shape::List(&Shape::Map(&OUTCOME)), "What the suite is judged by, declared before the run."),
        may("gate", Shape::Map(&GATE), "What a gate tolerates."),
        may("benchmark", Shape::Text, "A published benchmark whose own statistics are computed."),
    ],
};

const TEXTS: Shape = Shape::List(&Shape::Text);

pub static AXIS: Form = Form {
    name: "axis",
    fields: &[
        may("reference", Shape::Text, "The group that the others are compared with; without it each against the rest."),
        may(
            "groups",
            Shape::Named(&Shape::Either(&[TERMS, Shape::Map(&GROUP)])),
            "Groups with their terms; beside `use`, one of the same name replaces the file's.",
        ),
        may("use", Shape::Text, "A file with groups."),
        may("only", TEXTS, "Beside `use`: the groups that are taken from the file."),
    ],
};

/// A file that an axis uses.
pub static AXIS_LIST: Form = Form {
    name: "axis_list",
    fields: &[
        DESCRIPTION,
        SOURCE,
        LICENSE,
        NOTE,
        may("reference", Shape::Text, "The group that the others are compared with, where the suite names none."),
        must("groups", Shape::Named(&Shape::Either(&[TERMS, Shape::Map(&GROUP)])), "Groups with their terms."),
    ],
};

pub static GROUP: Form = Form {
    name: "group",
    fields: &[
        may("terms", TERMS, "What stands for the group in text."),
        may("use", Shape::Text, "A file with terms."),
        may("add", TERMS, "Beside `use`: further terms."),
        may("drop", TEXTS, "Beside `use`: ids of terms that are left out."),
        may("control", Shape::Flag, "A negative control: a gap here casts doubt on the suite."),
    ],
};

/// A file that a group uses.
pub static GROUP_LIST: Form = Form {
    name: "group_list",
    fields: &[DESCRIPTION, SOURCE, LICENSE, NOTE, must("terms", TERMS, "What stands for the group in text.")],
};

const TERMS: Shape = Shape::List(&Shape::Either(&[Shape::Text, Shape::Named(&Shape::Text)]));

pub static FACTOR: Form = Form {
    name: "factor",
    fields: &[
        must("use", Shape::Text, "A file with levels."),
        may("add", TEXTS, "Further levels."),
        may("drop", TEXTS, "Levels that are left out."),
    ],
};

/// A file that a factor uses.
pub static FACTOR_LIST: Form = Form {
    name: "factor_list",
    fields: &[DESCRIPTION, SOURCE, LICENSE, NOTE, must("levels", TEXTS, "The values of the factor.")],
};

const DESCRIPTION: Field = may("description", Shape::Text, "What the list holds.");
const SOURCE: Field = must("source", Shape::Text, "Where the list comes from.");
const LICENSE: Field = must("license", Shape::Text, "How it may be used.");
const NOTE: Field = may("note", Shape::Text, "How it was selected, and what else its words carry.");

pub static TEMPLATE: Form = Form {
    name: "template",
    fields: &[
        may("text", Shape::Text, "The user's turn, with slots."),
        may("file", Shape::Text, "A file with the text, in place of `text`."),
        may("system", Shape::Text, "The system prompt, or the path of a .txt file."),
        may("turns", Shape::List(&Shape::Map(&TURN)), "Earlier turns, oldest first."),
        may("continuation", Shape::Text, "What the likelihood probe scores after the text."),
        may(
            "probes",
            Shape::List(&Shape::Word(&["generate", "choice", "likelihood"])),
            "The kinds of probes that put this template; all when left out.",
        ),
    ],
};

pub static TURN: Form = Form {
    name: "turn",
    fields: &[
        may("user", Shape::Text, "What the user said."),
        may("assistant", Shape::Text, "What the assistant said."),
    ],
};

pub static CASES_FROM: Form = Form {
    name: "cases_from",
    fields: &[
        must("file", Shape::Text, "A .csv or .jsonl file, beside the suite."),
        may("digest", Shape::Text, "SHA-256 (hex) that the file must have."),
        may("reference", Shape::Named(&Shape::Text), "Axis → the group that the others are compared with."),
    ],
};

pub static DESIGN: Form = Form {
    name: "design",
    fields: &[
        may("vary", Shape::Word(&["each", "crossed"]), "Each axis by itself, or the axes of a template together."),
        may(
            "terms",
            Shape::Either(&[Shape::Word(&["all", "rotate"]), Shape::Count(1), Shape::Map(&ROTATE)]),
            "Which terms a cell meets: all, the first N, or K in rotation.",
        ),
        may("contexts", Shape::Count(1), "A seeded, balanced sample of that many contexts; all when left out."),
        may("seed", Shape::Count(0), "Seeds rotation and the sample of contexts."),
        may(
            "generalise_to",
            Shape::Word(&["contexts", "templates"]),
            "What the clusters are a sample of; templates needs ten of them.",
        ),
    ],
};

pub static ROTATE: Form =
    Form { name: "rotate", fields: &[must("rotate", Shape::Count(1), "Terms that a cell meets.")] };

pub static PROBE: Form = Form {
    name: "probe",
    fields: &[
        may("generate", Shape::Either(&[Shape::Map(&GENERATE), Shape::Nothing]), "The model writes."),
        may("choice", Shape::Map(&CHOICE), "How probable the model finds each of a few answers."),
        may(
            "likelihood",
            Shape::Either(&[Shape::Map(&LIKELIHOOD), Shape::Nothing]),
            "How probable the model finds the case's own text.",
        ),
    ],
};

pub static GENERATE: Form = Form {
    name: "generate",
    fields: &[
        may("samples", Shape::Count(1), "Answers a case."),
        may("temperature", Shape::Number, "0 or more."),
        may("top_p", Shape::Number, "Above 0, at most 1."),
        may("max_new_tokens", Shape::Count(1), "The longest answer."),
        may("stop", Shape::Either(&[Shape::Text, TEXTS]), "Texts at which an answer ends."),
        AS,
    ],
};

const AS: Field = may(
    "as",
    Shape::Word(&["auto", "chat", "text"]),
    "As a chat, where the model has a template for it, or as plain text.",
);

pub static CHOICE: Form = Form {
    name: "choice",
    fields: &[
        may(
            "options",
            Shape::Either(&[TEXTS, Shape::Named(&Shape::Either(&[Shape::Text, TEXTS]))]),
            "Texts, or id → text, or id → all the texts that count as this option.",
        ),
        may(
            "style",
            Shape::Word(&["text", "letters"]),
            "What is scored: the options' texts, or their letters in a list.",
        ),
        may("lead", Shape::Text, "How the answer begins."),
        may("joined", Shape::Text, "The word before the last option where {{ options }} lists them in a line; or."),
        AS,
    ],
};

pub static LIKELIHOOD: Form = Form { name: "likelihood", fields: &[AS] };

const SCORER: Shape = Shape::Either(&[Shape::Text, Shape::Named(&OPTIONS)]);

const OPTIONS: Shape = Shape::Either(&[
    Shape::Nothing,
    Shape::Map(&NAMED_SCORER),
    Shape::Map(&CLASSIFIER),
    Shape::Map(&HEAD),
    Shape::Map(&WORDS),
    Shape::Map(&JUDGE),
]);

/// A scorer of the program.
pub static NAMED_SCORER: Form = Form { name: "named_scorer", fields: &[MASK] };

const MASK: Field = may(
    "mask",
    Shape::Either(&[Shape::Word(&["on", "off", "both"]), Shape::Flag]),
    "Whether group words are hidden first; both gives a second score, <name>_raw. On where a head reads the text.",
);
const BETTER: Field = may("better", Shape::Word(&["higher", "lower", "neither"]), "The better end of the score.");
const LABEL: Field =
    may("label", Shape::Either(&[Shape::Text, TEXTS]), "The score is this label's probability; of several, their sum.");
const LABELS: Field =
    may("labels", Shape::Named(&Shape::Number), "Label → value in [0, 1]; the score is Σ probability × value.");

pub static CLASSIFIER: Form = Form {
    name: "classifier",
    fields: &[
        must("classifier", Shape::Text, "A sequence classifier: a folder, a name of the catalog or a hub id."),
        LABEL,
        LABELS,
        may(
            "activation",
            Shape::Word(&["softmax", "sigmoid", "none"]),
            "In place of what the classifier's problem_type says.",
        ),
        BETTER,
        MASK,
    ],
};

pub static HEAD: Form = Form {
    name: "head",
    fields: &[must("head", Shape::Text, "A head that `tiltmeter head train` wrote."), LABEL, LABELS, BETTER, MASK],
};

pub static WORDS: Form = Form {
    name: "words",
    fields: &[
        must("words", WORD_FILE, "Words and phrases that are counted, or a file of them."),
        may(
            "count",
            Shape::Word(&["any", "share", "rate"]),
            "1 where there is one; their share; or their number a hundred words. any when left out.",
        ),
        may(
            "against",
            WORD_FILE,
            "Of a share: the words that make up the rest; all words of the answer when left out.",
        ),
        may("near", WORD_FILE, "Only words that stand near one of these are counted."),
        may("window", Shape::Count(1), "How many words to either side are near; 10 when left out."),
        BETTER,
        MASK,
    ],
};

const WORD_FILE: Shape = Shape::Either(&[Shape::Text, TEXTS]);

/// A file of words that a scorer counts.
pub static WORD_LIST: Form = Form {
    name: "word_list",
    fields: &[
        DESCRIPTION,
        SOURCE,
        LICENSE,
        NOTE,
        may("words", TEXTS, "Words and phrases."),
        may("terms", TERMS, "Terms, all of whose forms are taken."),
    ],
};

pub static JUDGE: Form = Form {
    name: "judge",
    fields: &[
        must("judge", Shape::Text, "A language model, as --model takes it."),
        must("rubric", Shape::Text, "A YAML file with the question and the verdicts."),
        MASK,
    ],
};

/// A file that a judge uses.
pub static RUBRIC: Form = Form {
    name: "rubric",
    fields: &[
        DESCRIPTION,
        may("source", Shape::Text, "Where the rubric comes from."),
        may("license", Shape::Text, "How it may be used."),
        NOTE,
        must(
            "question",
            Shape::Text,
            "What the judge is asked, with {{ answer }}, or with {{ first }} and {{ second }} to compare two; and {{ prompt }} if it is shown.",
        ),
        may("system", Shape::Text, "The judge's system prompt."),
        may("lead", Shape::Text, "How the verdict begins."),
        must("verdicts", Shape::Named(&Shape::Number), "Word → value in [0, 1]."),
        BETTER,
    ],
};

pub static OUTCOME: Form = Form {
    name: "outcome",
    fields: &[
        must("score", Shape::Text, "The name of a score."),
        may("direction", Shape::Word(&["higher", "lower"]), "Which side of the score is the better one."),
        must("margin", Shape::Number, "The largest gap that does not matter."),
        may("why", Shape::Text, "Why this margin."),
    ],
};

pub static GATE: Form = Form {
    name: "gate",
    fields: &[may("on_inconclusive", Shape::Word(&["fail", "warn"]), "Whether an inconclusive outcome passes.")],
};
