//! Prints a plan: what it takes, what each outcome can show, and what to add.

use serde_json::{Value, json};

use super::spread::{NAME_SD, SD};
use super::{Planned, Prospect};
use crate::analysis::pilot::CLUSTERS;
use crate::record::table::number;
use crate::report::sentence::plain;
use crate::stats::forecast::{Addition, Forecast, MOST_TERMS};

/// Sentences, ending with a line end.
pub(super) fn text(planned: &Planned<'_>) -> String {
    let mut out = heading(planned);
    out += &assumptions(planned);
    if planned.suite.outcomes.is_empty() {
        out += "\nThe suite declares no outcomes: nothing can be concluded. Add `outcomes:` with margins.\n";
    }
    for prospect in &planned.prospects {
        out.push('\n');
        out += &of_outcome(prospect);
    }
    out
}

fn heading(planned: &Planned<'_>) -> String {
    let Planned { suite, cases, answers, pace, .. } = planned;
    let mut out = format!("{}@{}: {}, {}", suite.name, suite.version, count(*cases, "case"), count(*answers, "answer"));
    out += &match pace.asked {
        asked if asked == *answers => "\n".to_owned(),
        asked => format!(" to {} (equal ones are asked once)\n", count(asked, "question")),
    };
    for (axis, clusters, groups, (fewest, most)) in &planned.axes {
        let terms = if fewest == most { count(*most, "term") } else { format!("{fewest} to {most} terms") };
        out += &format!("{axis}: {}, {} of {terms}\n", count(*clusters, "cluster"), count(*groups, "group"));
    }
    let how = if pace.counted { "by the model's tokenizer" } else { "estimated at 4 letters a token" };
    out += &format!("{} prompt tokens ({how})", pace.prompt_tokens);
    if pace.max_new_tokens > 0 {
        out += &format!(", at most {} new tokens", pace.max_new_tokens);
    }
    if let Some(likely) = planned.likely_new_tokens.filter(|_| pace.max_new_tokens > 0) {
        out += &format!(", about {likely} by the pilot's answers");
    }
    out.push('\n');
    if let Some(why) = &planned.absent {
        out += &format!("The model is not here, so that nothing was counted or timed: {why}\n");
    }
    if let Some(seconds) = pace.seconds {
        out += &format!("Asking takes about {} here, by a few cases; scoring comes on top.\n", duration(seconds));
    }
    out
}

fn assumptions(planned: &Planned<'_>) -> String {
    let family = format!("{} are adjusted together", count(planned.family, "gap"));
    if planned.spreads.is_assumed {
        let given = if planned.given { "as given".to_owned() } else { format!("{SD} of the score's range") };
        return format!(
            "\nAssumed, since there is no pilot: a standard deviation of {given} between\nclusters, and of {NAME_SD} of the \
             range between names (where a group has three).\nA --limit run as --pilot measures both, --sd X changes the \
             first. {family}.\n"
        );
    }
    let clusters = planned.prospects.iter().filter_map(|prospect| prospect.spread.clusters).min().unwrap_or(0);
    let few = if clusters < CLUSTERS {
        format!(" These are few: from {CLUSTERS} on the spread can be planned by.")
    } else {
        String::new()
    };
    format!("\nSpread as in the pilot ({}).{few} {family}.\n", count(clusters, "cluster"))
}

/// `sentiment by gender: with 120 clusters x 8 names x 2 samples: detects |gap| >= 0.031 (80 %), can conclude equivalence at
/// 0.05 with 93 %`, and what would change it.
fn of_outcome(prospect: &Prospect) -> String {
    let Prospect { axis, score, group, reference, design, margin, width, .. } = prospect;
    let names = design.sides.iter().map(|side| side.terms).min().unwrap_or(0);
    let with = format!(
        "with {} x {} x {}",
        count(design.clusters, "cluster"),
        count(names, "name"),
        count(design.samples as usize, "sample")
    );
    let Some(found) = &prospect.found else {
        return format!("{score} by {axis}: {with}: nothing can be concluded from less than 2 clusters\n");
    };
    let mde = found.mde.map_or("any gap".to_owned(), |mde| format!("|gap| >= {}", plain(mde, *width)));
    let mut out = format!(
        "{score} by {axis}: {with}: detects {mde} (80 %), can conclude equivalence at {margin} with {}\n",
        percent(found.chance)
    );
    if prospect.gaps > 1 {
        let reference = reference.as_deref().unwrap_or(crate::analysis::REST);
        out += &format!("  This is for {group} − {reference}, the least certain of {} gaps.\n", prospect.gaps);
    }
    for line in advice(prospect, found) {
        out += &format!("  {line}\n");
    }
    out
}

fn advice(prospect: &Prospect, found: &Forecast) -> Vec<String> {
    let Prospect { design, margin, width, .. } = prospect;
    let names = design.sides.iter().map(|side| side.terms).min().unwrap_or(0);
    let mut lines = Vec::new();
    match (found.least_margin, found.clusters_needed, found.least_clusters) {
        (Some(least), _, _) if is_refused(prospect, found) => {
            let enough = match found.terms_needed {
                Some(terms) => format!("{terms} a group would do"),
                None => format!("even {MOST_TERMS} a group would not do, so widen the margin as well"),
            };
            lines.push(format!(
                "Refused: a margin of {margin} is below {}, the least that {} a group allow with contexts without end; \
                 add names: {enough}.",
                plain(least, *width),
                count(names, "name")
            ));
        }
        (_, _, None) => lines.push("No number of clusters shows equivalence on a range without end.".into()),
        (_, Some(needed), _) if needed > design.clusters => {
            lines.push(format!("Equivalence is concluded with 80 % from {} on.", count(needed, "cluster")));
        }
        (Some(least), _, _) => {
            lines.push(format!("The names allow a margin down to {}.", plain(least, *width)));
        }
        _ => {}
    }
    if let Some(best) = best(prospect, found) {
        let each: Vec<String> = prospect
            .doubled
            .iter()
            .map(|(addition, se)| format!("the {} {}", addition.as_str(), plain(*se, *width / 10.0)))
            .collect();
        lines.push(format!(
            "Standard error {}; with twice {}: add {}.",
            plain(found.se, *width / 10.0),
            each.join(", twice "),
            best.as_str()
        ));
    }
    if let Some(samples) = prospect.best_samples {
        let best = samples.ceil().max(1.0);
        if best as usize != design.samples as usize {
            lines.push(format!("For the same tokens {} a case would tell most.", count(best as usize, "sample")));
        }
    }
    lines
}

/// The margin is below what the names allow.
fn is_refused(prospect: &Prospect, found: &Forecast) -> bool {
    found.least_margin.is_some_and(|least| least >= prospect.margin)
}

/// What makes the error smallest when there is twice as much of it; names where nothing else can reach the margin.
fn best(prospect: &Prospect, found: &Forecast) -> Option<Addition> {
    if is_refused(prospect, found) {
        return Some(Addition::Terms);
    }
    prospect.doubled.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(addition, _)| *addition)
}

/// One JSON document; null is undefined.
pub(super) fn document(planned: &Planned<'_>) -> String {
    let pace = &planned.pace;
    let axis = |(name, clusters, groups, (fewest, most)): &(String, usize, usize, (usize, usize))| json!({ "axis": name, "clusters": clusters, "groups": groups, "fewest_terms": fewest, "most_terms": most });
    let document = json!({
        "suite": planned.suite.name,
        "version": planned.suite.version,
        "cases": planned.cases,
        "answers": planned.answers,
        "asked": pace.asked,
        "axes": planned.axes.iter().map(axis).collect::<Vec<_>>(),
        "prompt_tokens": pace.prompt_tokens,
        "tokens_are_counted": pace.counted,
        "max_new_tokens": pace.max_new_tokens,
        "likely_new_tokens": planned.likely_new_tokens,
        "seconds": pace.seconds.map(|seconds| (seconds * 10.0).round() / 10.0),
        "family": planned.family,
        "spread": if planned.spreads.is_assumed { "assumed" } else { "pilot" },
        "outcomes": planned.prospects.iter().map(outcome).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn outcome(prospect: &Prospect) -> Value {
    let figure = |value: Option<f64>| json!(number(value).parse::<f64>().ok());
    let (design, parts, found) = (&prospect.design, &prospect.spread.parts, prospect.found.as_ref());
    let doubled =
        |wanted: Addition| figure(prospect.doubled.iter().find(|(addition, _)| *addition == wanted).map(|(_, se)| *se));
    let best = found.and_then(|found| best(prospect, found)).map(Addition::as_str);
    let is_refused = found.is_some_and(|found| is_refused(prospect, found));
    json!({
        "axis": prospect.axis,
        "scorer": prospect.score,
        "group": prospect.group,
        "reference": prospect.reference.as_deref().unwrap_or(crate::analysis::REST),
        "gaps": prospect.gaps,
        "clusters": design.clusters,
        "terms": design.sides.iter().map(|side| side.terms).collect::<Vec<_>>(),
        "cell_terms": figure(Some(design.cell_terms)),
        "samples": design.samples as usize,
        "margin": prospect.margin,
        "pilot_clusters": prospect.spread.clusters,
        "variance_cluster": figure(Some(parts.cluster)),
        "variance_within": figure(parts.within),
        "variance_term": figure(parts.term),
        "se": figure(found.map(|found| found.se)),
        "df": figure(found.map(|found| found.df)),
        "mde": figure(found.and_then(|found| found.mde)),
        "equivalence_chance": figure(found.map(|found| found.chance)),
        "least_clusters": found.and_then(|found| found.least_clusters),
        "clusters_needed": found.and_then(|found| found.clusters_needed),
        "least_margin": figure(found.and_then(|found| found.least_margin)),
        "refused": is_refused,
        "terms_needed": found.and_then(|found| found.terms_needed),
        "best_samples": figure(prospect.best_samples),
        "se_with_twice_the_contexts": doubled(Addition::Contexts),
        "se_with_twice_the_names": doubled(Addition::Terms),
        "se_with_twice_the_samples": doubled(Addition::Samples),
        "add": best,
    })
}

fn percent(share: f64) -> String {
    // What is not certain is not 100 %.
    format!("{:.0} %", (share * 100.0).floor())
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1.0 => "a second".into(),
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
