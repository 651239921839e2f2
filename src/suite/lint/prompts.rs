//! Reads the cases that the suite makes: how many there are of each group, whether prompts repeat, how long they are in tokens.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::Result;

use super::{Findings, Model, count, declared};
use crate::suite::expand::cases;
use crate::suite::{Axis, Case, Place, Probe, ProbeKind, Suite};

/// Cases that are read; a suite of more is judged by about so many, a seeded sample of its contexts with all their sets.
const READ: usize = 200_000;
/// Contexts by which the cases a context are counted.
const GAUGE: usize = 100;
/// Clusters that the method asks for; 59 are the least that can show equivalence at a margin of 0.05.
const CLUSTERS: usize = 60;
/// Error rate of verdicts.
const ALPHA: f64 = 0.05;
/// Mean lengths of groups may differ by this many tokens: names of one and of two tokens mixed evenly stay below.
const TOKENS: f64 = 1.0;
/// Cases of a group against those of the largest group.
const SHARE: f64 = 0.8;

#[derive(Default)]
struct OfGroup {
    cases: usize,
    tokens: Vec<usize>,
}

/// What was read.
#[derive(Default)]
struct Read<'s> {
    /// (kind of probe, axis) → hashes of its sets' clusters.
    clusters: BTreeMap<(ProbeKind, String), HashSet<u64>>,
    /// axis → group
    groups: BTreeMap<String, BTreeMap<String, OfGroup>>,
    /// Hash of what is asked on an axis → the first case that asks it.
    asked: HashMap<u64, String>,
    repeated: usize,
    /// A case and the one that asked the same before.
    example: Option<(String, String)>,
    /// Template → the sets in which two groups are asked the very same, with an example.
    same: BTreeMap<String, (usize, String)>,
    /// Template → the cases that are too long, with an example.
    long: BTreeMap<String, (usize, String)>,
    /// (axis, control, other group) → the sets in which both are asked the same, and all sets of both.
    controls: BTreeMap<(String, String, String), (usize, usize)>,
    /// (axis, template) → option → the clusters in which it stands first.
    first: BTreeMap<(String, String), BTreeMap<String, usize>>,
    early: HashSet<&'s str>,
    /// Templates of several axes, each of which asks the cases of the others again.
    several: HashSet<&'s str>,
}

pub(super) fn check(suite: &Suite, model: Option<&Model<'_>>, findings: &mut Findings) -> Result<()> {
    let mut read = Read::default();
    for template in &suite.templates {
        let slots = template.slots()?;
        let uses = |axis: &&Axis| slots.iter().any(|slot| slot.name == axis.name);
        if suite.axes.iter().filter(uses).count() > 1 {
            read.several.insert(&template.name);
        }
    }
    let part = part(suite)?;
    let mut number = 0;
    let mut set: Vec<Case> = Vec::new();
    for case in cases(suite, part)? {
        let case = case?;
        number += 1;
        if let Some(model) = model {
            tokens(suite, &case, model, &mut read)?;
        }
        if set.first().is_some_and(|first| first.set != case.set) {
            whole_set(suite, &set, &mut read, findings);
            set.clear();
        }
        set.push(case);
    }
    whole_set(suite, &set, &mut read, findings);
    if number == 0 {
        findings.add("no-cases", &suite.place, "the suite makes no cases; `tiltmeter expand` shows what it makes");
        return Ok(());
    }
    clusters(suite, &read, part.is_some(), findings);
    balance(suite, &read, findings);
    asked_the_same(suite, &read, findings);
    first_options(suite, &read, findings);
    if let (Some((case, other)), more) = (&read.example, read.repeated) {
        let message = format!(
            "{} asked already in another set, as {case} after {other}: they add clusters but no information; vary the template",
            if more == 1 { "1 prompt is".to_string() } else { format!("{more} prompts are") }
        );
        findings.add("duplicate-prompt", &suite.place, message);
    }
    if let Some(model) = model {
        too_long(suite, &read, model, findings);
        lengths(suite, &read, model, findings);
    }
    Ok(())
}

/// How many contexts to read: all, or of a suite of more than [`READ`] cases those that hold about so many.
fn part(suite: &Suite) -> Result<Option<usize>> {
    if cases(suite, None)?.nth(READ).is_none() {
        return Ok(None);
    }
    let each = cases(suite, Some(GAUGE))?.count().div_ceil(GAUGE);
    Ok(Some((READ / each.max(1)).max(1)))
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

fn whole_set<'s>(suite: &'s Suite, set: &[Case], read: &mut Read<'s>, findings: &mut Findings) {
    let Some(first) = set.first() else { return };
    if !first.axis.is_empty() {
        let clusters = read.clusters.entry((first.probe, first.axis.clone())).or_default();
        clusters.insert(hash(&[&first.template, &first.context]));
    }
    let mut inside: HashMap<u64, &Case> = HashMap::new();
    let mut of_group: BTreeMap<&str, HashSet<u64>> = BTreeMap::new();
    let mut same: Option<String> = None;
    for case in set {
        if !case.axis.is_empty() {
            read.groups.entry(case.axis.clone()).or_default().entry(case.group.clone()).or_default().cases += 1;
        }
        let turns = serde_json::to_string(&case.turns).unwrap_or_default();
        let asked = hash(&[
            case.probe.as_str(),
            &case.prompt,
            case.system.as_deref().unwrap_or_default(),
            case.continuation.as_deref().unwrap_or_default(),
            &turns,
        ]);
        if let Some(other) = inside.insert(asked, case)
            && other.group != case.group
            && !is_control(suite, &case.axis, &[&case.group, &other.group])
        {
            same.get_or_insert_with(|| format!("\"{}\" and \"{}\", as in {}", other.group, case.group, case.id));
        }
        of_group.entry(&case.group).or_default().insert(asked);
        if case.axis.is_empty() || read.several.contains(case.template.as_str()) {
            continue;
        }
        let first = read.asked.entry(hash(&[&asked.to_string(), &case.axis])).or_insert_with(|| case.id.clone());
        let in_this_set = first.strip_prefix(&case.set).is_some_and(|rest| rest.starts_with('='));
        if !in_this_set {
            read.repeated += 1;
            let first = first.clone();
            read.example.get_or_insert_with(|| (case.id.clone(), first));
        }
    }
    if let Some(example) = same {
        read.same.entry(set[0].template.clone()).or_insert((0, example)).0 += 1;
    }
    for (control, asked) in of_group.iter().filter(|(group, _)| is_control(suite, &set[0].axis, &[group])) {
        for (other, asked_other) in of_group.iter().filter(|(other, _)| *other != control) {
            let key = (set[0].axis.clone(), (*control).to_string(), (*other).to_string());
            let (same, all) = read.controls.entry(key).or_default();
            *same += usize::from(asked == asked_other);
            *all += 1;
        }
    }
    if let Some(option) = set[0].options.first() {
        let clusters = read.first.entry((set[0].axis.clone(), set[0].template.clone())).or_default();
        *clusters.entry(option.id.clone()).or_default() += 1;
    }
    early(suite, set, read, findings);
}

/// Groups that the prompts of a set do not tell apart.
fn asked_the_same(suite: &Suite, read: &Read<'_>, findings: &mut Findings) {
    for (template, (sets, example)) in &read.same {
        let message = format!(
            "template \"{template}\" asks the very same of {example} ({} so): their gap is 0 whatever the model does; use a form that differs",
            count(*sets, "set")
        );
        findings.add("duplicate-prompt", place_of_template(suite, template), message);
    }
    for ((axis, control, other), (same, all)) in &read.controls {
        if same == all {
            let message = format!(
                "the control \"{control}\" of axis \"{axis}\" asks the very same as \"{other}\" in every set, and the same prompt gets the same answer: its gap is 0 whatever the model does and controls nothing; give it a paraphrase, or other terms of the same group"
            );
            findings.add("idle-control", place_of(suite, axis), message);
        }
    }
}

/// Options whose places are not shared out evenly.
fn first_options(suite: &Suite, read: &Read<'_>, findings: &mut Findings) {
    let options = suite.probes.iter().find_map(|probe| match probe {
        Probe::Choice(spec) => Some(spec.options.len()),
        _ => None,
    });
    let Some(options) = options.filter(|_| suite.listed.is_none()) else { return };
    for ((axis, template), first) in &read.first {
        let most = first.values().max().copied().unwrap_or(0);
        let least = if first.len() < options { 0 } else { first.values().min().copied().unwrap_or(0) };
        if most > least {
            let message = format!(
                "under template \"{template}\" and axis \"{axis}\" the options do not stand first equally often (from {least} to {most} clusters): a liking for the first place stays in the shares of options, though not in gaps; a number of contexts that {options} divides evens it out"
            );
            findings.add("option-order", place_of_template(suite, template), message);
        }
    }
}

fn place_of_template<'a>(suite: &'a Suite, name: &str) -> &'a Place {
    suite.templates.iter().find(|template| template.name == name).map_or(&suite.place, |template| &template.place)
}

fn is_control(suite: &Suite, axis: &str, groups: &[&str]) -> bool {
    let groups_of = suite.axes.iter().find(|other| other.name == axis).map(|axis| axis.groups.as_slice());
    groups_of.unwrap_or_default().iter().any(|group| group.control && groups.contains(&group.name.as_str()))
}

/// Prompts that share a long beginning are computed once.
fn early<'s>(suite: &'s Suite, set: &[Case], read: &mut Read<'s>, findings: &mut Findings) {
    let Some(template) = suite.templates.iter().find(|template| template.name == set[0].template) else { return };
    if set.len() < 2 || !read.early.insert(&template.name) {
        return;
    }
    let shared = set[1..].iter().fold(set[0].prompt.len(), |shared, case| {
        let same = set[0].prompt.bytes().zip(case.prompt.bytes()).take_while(|(a, b)| a == b).count();
        shared.min(same)
    });
    let length = set[0].prompt.len();
    if length > 240 && shared * 4 < length {
        let message = format!(
            "template \"{}\" differs from its first quarter on: what follows is computed for every member of a set; a run is faster where the tested slot stands late",
            template.name
        );
        findings.add("early-slot", &template.place, message);
    }
}

fn clusters(suite: &Suite, read: &Read<'_>, partly: bool, findings: &mut Findings) {
    for outcome in &suite.outcomes {
        let kind = ProbeKind::of_score(&outcome.score);
        let Some(width) = declared::width(suite, &outcome.score) else { continue };
        let share = outcome.margin / width;
        let least = if share > 0.0 && share < 1.0 { (ALPHA.ln() / (-share).ln_1p()).ceil() as usize } else { 1 };
        let needed = least.max(CLUSTERS);
        for ((probe, axis), clusters) in read.clusters.iter().filter(|((probe, _), _)| *probe == kind) {
            if clusters.len() >= needed || partly || axis.contains('+') {
                continue;
            }
            let message = format!(
                "axis \"{axis}\" has {} under the {} probe, fewer than the {needed} that \"{}\" needs at a margin of {}: equivalence cannot be shown, only disparity; add templates, levels or contexts",
                count(clusters.len(), "cluster"),
                probe.as_str(),
                outcome.score,
                outcome.margin
            );
            findings.add("few-clusters", place_of(suite, axis), message);
        }
    }
}

fn place_of<'a>(suite: &'a Suite, axis: &str) -> &'a Place {
    suite.axes.iter().find(|other| other.name == axis).map_or(&suite.place, |axis| &axis.place)
}

fn balance(suite: &Suite, read: &Read<'_>, findings: &mut Findings) {
    for (axis, groups) in &read.groups {
        let most = groups.values().map(|group| group.cases).max().unwrap_or(0);
        for (name, group) in groups {
            let named = is_control(suite, axis, &[name]);
            if (group.cases as f64) < SHARE * most as f64 && !named && suite.benchmark.is_none() {
                let message = format!(
                    "group \"{name}\" of axis \"{axis}\" has {}, the largest group {most}: clusters without it drop out of its gap; give the groups as many terms, or `terms: rotate`",
                    count(group.cases, "case")
                );
                findings.add("unbalanced", place_of(suite, axis), message);
            }
        }
    }
}

fn tokens<'s>(suite: &'s Suite, case: &Case, model: &Model<'_>, read: &mut Read<'s>) -> Result<()> {
    let turns: String = case.turns.iter().map(|turn| turn.content.as_str()).collect();
    let parts = [
        case.system.as_deref().unwrap_or_default(),
        &turns,
        &case.prompt,
        case.continuation.as_deref().unwrap_or_default(),
    ];
    let length = (model.tokens)(&parts.concat())?;
    let answer = suite.probes.iter().find_map(|probe| match probe {
        Probe::Generate(spec) if case.probe == ProbeKind::Generate => Some(spec.max_new_tokens),
        _ => None,
    });
    let answer = answer.unwrap_or(0);
    if length + answer > model.context_length {
        let example = format!("{} has {length} tokens and its answer may have {answer}", case.id);
        read.long.entry(case.template.clone()).or_insert((0, example)).0 += 1;
    }
    if !case.axis.is_empty() {
        let group = read.groups.entry(case.axis.clone()).or_default().entry(case.group.clone()).or_default();
        group.tokens.push(length);
    }
    Ok(())
}

fn too_long(suite: &Suite, read: &Read<'_>, model: &Model<'_>, findings: &mut Findings) {
    for (template, (cases, example)) in &read.long {
        let message = format!(
            "{} of template \"{template}\" do not fit: {example}, but {} holds {}; shorten the template or lower max_new_tokens",
            count(*cases, "case"),
            model.name,
            model.context_length
        );
        findings.add("context-length", place_of_template(suite, template), message);
    }
}

fn lengths(suite: &Suite, read: &Read<'_>, model: &Model<'_>, findings: &mut Findings) {
    for (axis, groups) in read.groups.iter().filter(|(axis, _)| !axis.contains('+')) {
        let mean = |group: &OfGroup| group.tokens.iter().sum::<usize>() as f64 / group.tokens.len().max(1) as f64;
        let is_group = |name: &String| !is_control(suite, axis, &[name]);
        let means: Vec<f64> = groups.iter().filter(|(name, _)| is_group(name)).map(|(_, group)| mean(group)).collect();
        let (low, high) =
            means.iter().fold((f64::INFINITY, 0.0f64), |(low, high), mean| (low.min(*mean), high.max(*mean)));
        let of_names = suite.axes.iter().find(|other| other.name == *axis).is_some_and(|axis| {
            axis.terms().all(|(_, term)| !term.paired) && axis.groups.iter().all(|group| group.terms.len() > 2)
        });
        if high - low > TOKENS {
            let list: Vec<String> = groups
                .iter()
                .map(|(name, group)| {
                    let (least, most) =
                        (group.tokens.iter().min().unwrap_or(&0), group.tokens.iter().max().unwrap_or(&0));
                    format!("{name} {:.1} ({least}–{most})", mean(group))
                })
                .collect();
            let message = format!(
                "prompts of axis \"{axis}\" differ in length between groups, in tokens of {}, mean (range): {}; a model treats longer and rarer words differently, and a gap may show this{}",
                model.name,
                list.join(", "),
                if of_names { "; choose names of like length" } else { "" }
            );
            findings.add(if of_names { "token-length" } else { "longer-words" }, place_of(suite, axis), message);
        }
    }
}
