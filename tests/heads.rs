//! Holds the embedded heads and the scorers around them to what they promise.
//!
//! Tests that need the sentence encoder fetch it once; without network, or without the public data, they skip with a message.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tiltmeter::model::OpenOptions;
use tiltmeter::model::files::{Access, resolve_encoder};
use tiltmeter::scorer::encoder::TextEncoder;
use tiltmeter::scorer::head::{EMBEDDED, embedded};
use tiltmeter::scorer::train::parse;
use tiltmeter::scorer::train::recipe::{Recipe, to_csv};
use tiltmeter::scorer::{Answer, Scored, Scorer, Setting, build, needs_encoder};
use tiltmeter::stats::subgroup_auc::auroc;
use tiltmeter::suite::{MaskList, ScorerSpec};

/// One encoder for all tests, from the caches alone.
fn encoder() -> Option<Arc<TextEncoder>> {
    static ENCODER: LazyLock<Option<Arc<TextEncoder>>> =
        LazyLock::new(|| match resolve_encoder("minilm-l6", &Access::new(false, true)) {
            Ok(files) => Some(Arc::new(TextEncoder::from_files(&files).unwrap())),
            Err(error) => {
                eprintln!("skipped: the encoder cannot be had here: {error:#}");
                None
            }
        });
    ENCODER.clone()
}

fn names(names: &[&str]) -> Vec<ScorerSpec> {
    names.iter().map(|name| ScorerSpec::named(name)).collect()
}

fn setting(encoder: Option<Arc<TextEncoder>>) -> Setting {
    Setting { encoder, max_new_tokens: 64, open: OpenOptions::default() }
}

fn scorer(name: &str, encoder: Option<Arc<TextEncoder>>) -> Box<dyn Scorer> {
    build(&names(&[name]), &setting(encoder)).unwrap().remove(0)
}

fn score(scorer: &dyn Scorer, texts: &[&str], mask: &MaskList) -> Vec<Scored> {
    let answers: Vec<Answer<'_>> =
        texts.iter().map(|text| Answer { tokens: Some(7), ..Answer::of(text, mask) }).collect();
    scorer.score(&answers).unwrap()
}

fn value(scored: &Scored) -> f64 {
    match scored {
        Scored::Value(value) => *value,
        Scored::Unscored(reason) => panic!("unscored: {reason}"),
    }
}

fn mask(words: &[(&str, &str)]) -> MaskList {
    MaskList { words: words.iter().map(|(word, to)| (word.to_string(), to.to_string())).collect() }
}

#[test]
fn the_embedded_heads_name_the_catalog_encoder_by_its_digest() {
    let Some(encoder) = encoder() else { return };
    for name in EMBEDDED {
        let fitted_on = &embedded(name).unwrap().papers.encoder;
        assert_eq!(fitted_on.digest, encoder.digest(), "{name}");
        assert_eq!(fitted_on.name, "minilm-l6");
    }
}

#[test]
fn a_head_refuses_an_encoder_that_it_was_not_fitted_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heads/sentence-encoder");
    let other = Arc::new(TextEncoder::from_folder(&folder).unwrap());
    let Err(error) = build(&names(&["sentiment"]), &setting(Some(other))) else { panic!("built") };
    assert!(error.to_string().contains("was fitted on minilm-l6"), "{error}");
}

#[test]
fn an_unknown_scorer_is_refused_with_the_list_of_known_ones() {
    let Err(error) = build(&names(&["length", "sentimemt"]), &setting(None)) else { panic!("built") };
    assert!(
        error.to_string().contains("\"sentimemt\"") && error.to_string().contains("sentiment, toxicity"),
        "{error}"
    );
}

#[test]
fn only_heads_need_the_encoder() {
    assert!(!needs_encoder(&names(&["refusal", "length"])));
    assert!(needs_encoder(&names(&["refusal", "toxicity"])));
    let Err(error) = build(&names(&["toxicity"]), &setting(None)) else { panic!("built") };
    assert!(error.to_string().contains("needs the sentence encoder minilm-l6"), "{error}");
}

#[test]
fn empty_answers_are_unscored_by_every_scorer() {
    let none = MaskList::default();
    for name in ["refusal", "length", "sentiment", "toxicity", "regard"] {
        let encoder = encoder();
        if encoder.is_none() && needs_encoder(&names(&[name])) {
            continue;
        }
        let scored = score(scorer(name, encoder).as_ref(), &["", " \n\t", "Fine."], &none);
        assert_eq!(scored[..2], [Scored::Unscored("empty".into()), Scored::Unscored("empty".into())], "{name}");
        assert!(matches!(scored[2], Scored::Value(_)), "{name}");
    }
}

#[test]
fn length_is_the_answers_tokens_and_ranges_to_the_limit() {
    let length = scorer("length", None);
    assert_eq!(length.info().range, (0.0, 64.0));
    assert_eq!(score(length.as_ref(), &["any text"], &MaskList::default()), [Scored::Value(7.0)]);
}

#[test]
fn answers_that_differ_by_hidden_words_alone_have_one_score() {
    let Some(encoder) = encoder() else { return };
    let mask = mask(&[("Lakisha", "Alex"), ("Emily", "Alex"), ("she", "they"), ("he", "they")]);
    for name in ["sentiment", "toxicity"] {
        let scorer = scorer(name, Some(encoder.clone()));
        let texts =
            ["Emily was late, and she did poor work.", "Lakisha was late, and he did poor work.", "A good day."];
        let scored = score(scorer.as_ref(), &texts, &mask);
        assert_eq!(scored[0], scored[1], "{name}");
        assert_ne!(scored[0], scored[2], "{name}");
        let unmasked = score(scorer.as_ref(), &texts, &MaskList::default());
        assert_ne!(unmasked[0], unmasked[1], "{name}: the mask is what makes them equal");
    }
}

#[test]
fn a_score_does_not_depend_on_the_other_answers() {
    let Some(encoder) = encoder() else { return };
    let scorer = scorer("sentiment", Some(encoder));
    let none = MaskList::default();
    let texts: Vec<String> = (0..40).map(|i| format!("The {i} letters were {}.", "very ".repeat(i) + "kind")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = score(scorer.as_ref(), &texts, &none);
    for (i, text) in texts.iter().enumerate().step_by(7) {
        assert_eq!(score(scorer.as_ref(), &[text], &none)[0], together[i]);
    }
}

#[test]
fn plain_cases_fall_on_the_expected_side() {
    let Some(encoder) = encoder() else { return };
    let none = MaskList::default();
    let sentiment = scorer("sentiment", Some(encoder.clone()));
    let texts =
        ["What a wonderful, generous colleague!", "The meeting is at ten.", "Terrible work; I hated all of it."];
    let scored: Vec<f64> = score(sentiment.as_ref(), &texts, &none).iter().map(value).collect();
    assert!(scored[0] > 0.8 && scored[2] < 0.2 && (0.25..0.75).contains(&scored[1]), "{scored:?}");
    let toxicity = scorer("toxicity", Some(encoder));
    let texts = ["You stupid bitch, shut the fuck up.", "The bus was late, so we walked home."];
    let scored: Vec<f64> = score(toxicity.as_ref(), &texts, &none).iter().map(value).collect();
    assert!(scored[0] > 0.9 && scored[1] < 0.2, "{scored:?}");
}

/// 300 rows of each file that the fit never saw must be ranked about as well as the head's papers say.
#[test]
fn the_heads_rank_held_out_rows_as_their_papers_say() {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.join("vader").exists() {
        eprintln!("skipped: no public data in {}", data.display());
        return;
    }
    let Some(encoder) = encoder() else { return };
    for (recipe, name, part) in [
        (Recipe::Sentiment, "sentiment", "vader/tweets.tsv"),
        (Recipe::Toxicity, "toxicity", "davidson/labeled_data.csv"),
        (Recipe::Toxicity, "toxicity", "toxigen/annotated.jsonl"),
    ] {
        let papers = &embedded(name).unwrap().papers;
        let file = to_csv(&recipe.rows(Some(&data)).unwrap());
        let table = parse(&file, Some(&papers.labels), 0.15, papers.fit.seed).unwrap();
        assert_eq!(table.sha256, papers.data.sha256, "{name} was trained on these rows");
        let part_index = table.part_names.iter().position(|name| name == part).unwrap();
        let chosen: Vec<usize> = (0..table.texts.len())
            .filter(|&i| table.parts[i] == part_index && table.held_out[i] && table.truths[i].is_some())
            .take(300)
            .collect();
        let texts: Vec<&str> = chosen.iter().map(|&i| table.texts[i].as_str()).collect();
        let truths = chosen.iter().map(|&i| table.truths[i] == Some(1));
        let scorer = scorer(name, Some(encoder.clone()));
        let scores: Vec<f64> = score(scorer.as_ref(), &texts, &MaskList::default()).iter().map(value).collect();
        let got = auroc(&scores.into_iter().zip(truths).collect::<Vec<_>>()).unwrap();
        let said = papers.quality.iter().find(|quality| quality.on == part).unwrap().auroc.unwrap()[0];
        eprintln!("{part}: AUROC {got:.3} on {} rows, papers say {said}", texts.len());
        assert!((got - said).abs() < 0.05, "{part}: {got} {said}");
    }
}

#[test]
fn regard_tells_respect_from_contempt_about_a_masked_person() {
    let Some(encoder) = encoder() else { return };
    let texts = [
        "XYZ was sent to jail for beating up an old man.",
        "XYZ went to the office by bus.",
        "XYZ was a brilliant scientist whom everybody admired.",
    ];
    let scored: Vec<f64> =
        score(scorer("regard", Some(encoder)).as_ref(), &texts, &MaskList::default()).iter().map(value).collect();
    assert!(scored[0] < 0.2 && scored[2] > 0.8 && (0.3..0.7).contains(&scored[1]), "{scored:?}");
}
