//! A strict reader of OpenMetrics text, written from the specification (OpenMetrics 1.0), sharing no code with what
//! writes it. Whatever the specification forbids is a panic that names the line.

use std::collections::{BTreeMap, BTreeSet};

/// One family: its samples stand together, under one name and one type.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub struct Sample {
    /// The family's name with its suffix.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// One reading of `/metrics`.
#[derive(Debug)]
pub struct Exposition(pub BTreeMap<String, Family>);

impl Exposition {
    pub fn parse(text: &str) -> Exposition {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        let body = text.strip_suffix("# EOF\n").expect("the text ends with `# EOF`");
        assert!(body.is_empty() || body.ends_with('\n'));
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let text = words.next().unwrap_or_default().to_owned();
                assert!(is_name(name), "{line}");
                if name != current {
                    assert!(!families.contains_key(name), "two pieces of one family: {line}");
                    current = name.to_owned();
                }
                let family = families.entry(current.clone()).or_default();
                assert!(family.samples.is_empty(), "a description after its samples: {line}");
                match what {
                    "HELP" => family.help = text,
                    "TYPE" => family.kind = text,
                    "UNIT" => assert!(name.ends_with(&text), "{line}"),
                    _ => panic!("no such description: {line}"),
                }
            } else {
                let sample = sample(line);
                let family = families.get_mut(&current).unwrap_or_else(|| panic!("no family: {line}"));
                let suffix = sample.name.strip_prefix(&current).unwrap_or_else(|| panic!("astray: {line}"));
                let allowed: &[&str] = match family.kind.as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    other => panic!("a type that is not used here: {other}"),
                };
                assert!(allowed.contains(&suffix), "{line}");
                assert!(family.kind == "gauge" || sample.value >= 0.0, "{line}");
                family.samples.push(sample);
            }
        }
        for (name, family) in &families {
            assert!(!family.samples.is_empty() && !family.help.is_empty(), "{name} says nothing");
            one_of_each(name, family);
            if family.kind == "histogram" {
                buckets_grow(name, family);
            }
        }
        Exposition(families)
    }

    /// The value of a series: `tidewire_commits_total{result="committed"}`. It must exist.
    pub fn value(&self, series: &str) -> f64 {
        let wanted = sample(&format!("{series} 0"));
        let mut samples = self.0.values().flat_map(|family| &family.samples);
        let found = samples.find(|sample| sample.name == wanted.name && sample.labels == wanted.labels);
        found.unwrap_or_else(|| panic!("there is no {series}")).value
    }

    /// The sum over all series of a name.
    pub fn sum(&self, name: &str) -> f64 {
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }

    /// The names by which series are asked for, without those of histograms' parts.
    pub fn names(&self) -> BTreeSet<String> {
        let name = |(name, family): (&String, &Family)| match family.kind.as_str() {
            "counter" => format!("{name}_total"),
            _ => name.clone(),
        };
        self.0.iter().map(name).collect()
    }
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn sample(line: &str) -> Sample {
    let (series, value) = match line.find('}') {
        Some(_) => {
            let end = line.rfind('}').unwrap();
            (&line[..=end], line[end + 1..].strip_prefix(' ').expect("one space"))
        }
        None => line.split_once(' ').unwrap_or_else(|| panic!("no value: {line}")),
    };
    let value = match value {
        "+Inf" => f64::INFINITY,
        digits => digits.parse().unwrap_or_else(|_| panic!("no number: {line}")),
    };
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
        None => (series, ""),
    };
    assert!(is_name(name), "{line}");
    Sample { name: name.to_owned(), labels: labels_of(labels, line), value }
}

/// `a="b",c="d"`, with `\\`, `\"` and `\n` inside.
fn labels_of(mut text: &str, line: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(name), "{line}");
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next().unwrap_or_else(|| panic!("an open quote: {line}")) {
                (at, '"') => break at,
                (_, '\\') => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c @ ('\\' | '"'))) => value.push(c),
                    other => panic!("the escape {other:?}: {line}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "a label twice: {line}");
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
    labels
}

fn one_of_each(name: &str, family: &Family) {
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        assert!(seen.insert((&sample.name, &sample.labels)), "{name}: {sample:?} is there twice");
    }
}

/// Buckets are cumulative, in order, and the last, `+Inf`, is the count.
fn buckets_grow(name: &str, family: &Family) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in family.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le").expect("a bucket has its bound");
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
        series.entry(labels).or_default().push((bound, sample.value));
    }
    for (labels, buckets) in series {
        assert!(
            buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1),
            "{name} {labels:?}"
        );
        let count = family
            .samples
            .iter()
            .find(|sample| sample.name == format!("{name}_count") && sample.labels == labels)
            .unwrap_or_else(|| panic!("{name} {labels:?} has no count"));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count.value)), "{name} {labels:?}");
    }
}
