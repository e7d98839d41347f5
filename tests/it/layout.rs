//! The house keeps its shape: crate arrows, documents that name only what exists, files that stay small.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::root;

/// Which crates of the workspace each crate may use: the seven arrows, and the root that wires them.
const ARROWS: &[(&str, &[&str])] = &[
    ("storage", &[]),
    ("oee", &[]),
    ("ingest", &["oee", "storage"]),
    ("query", &["oee", "storage"]),
    ("api", &["ingest", "oee", "query"]),
    (".", &["api", "ingest", "oee", "query", "storage"]),
];

/// What a crate must never depend on, and why.
const BANS: &[(&str, &[&str], &str)] = &[
    ("storage", &["datafusion", "axum", "pgwire", "rumqttc", "rmqtt-codec"], "storage knows no protocol and no SQL"),
    ("oee", &["arrow", "parquet", "datafusion", "tokio", "axum"], "oee is pure: no Arrow, no SQL, no runtime"),
    ("ingest", &["datafusion", "parquet", "axum", "pgwire"], "ingest writes no file and answers no query"),
    ("query", &["axum", "pgwire", "rumqttc"], "query knows no wire protocol"),
];

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

fn dependencies(folder: &str) -> BTreeSet<String> {
    manifest(folder)["dependencies"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn crates_depend_on_each_other_as_drawn() {
    let crates: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (folder, allowed) in ARROWS {
        let used: BTreeSet<String> =
            dependencies(folder).into_iter().filter(|name| crates.contains(name.as_str())).collect();
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(used, allowed, "arrows of {folder}");
    }
    let members = manifest(".")["workspace"]["members"].as_array().unwrap().len();
    assert_eq!(members + 1, ARROWS.len(), "every crate of the workspace is in the picture");
}

#[test]
fn crates_keep_to_what_they_may_know() {
    for (folder, banned, reason) in BANS {
        let used = dependencies(folder);
        for name in *banned {
            assert!(!used.contains(*name), "{folder} uses {name}: {reason}");
        }
    }
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules", "takt-demo", "takt-data"].contains(&name.as_str())
            {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// Paths in code spans that begin with a top-level folder or end like one of our files.
fn named_paths(text: &str) -> Vec<String> {
    let tops = ["src/", "storage/", "oee/", "ingest/", "query/", "api/", "dashboards/", "benches/", "tests/", "docs/"];
    let spans = text.split('`').skip(1).step_by(2);
    let looks = |span: &&str| {
        !span.contains([' ', '*', '<', '{', '$', '\n'])
            && (tops.iter().any(|top| span.starts_with(top)) || span.ends_with(".md"))
    };
    spans.filter(looks).map(|span| span.trim_end_matches('/').split('#').next().unwrap_or(span).to_owned()).collect()
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut documents = Vec::new();
    files(&root(), "md", &mut documents);
    assert!(documents.len() > 3, "found {} documents", documents.len());
    let mut missing = Vec::new();
    for document in documents {
        for path in named_paths(&fs::read_to_string(&document).unwrap()) {
            let beside = document.parent().unwrap().join(&path);
            if !root().join(&path).exists() && !beside.exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "documents name what is not there:\n{}", missing.join("\n"));
}

#[test]
fn sources_stay_small_nouns() {
    let mut sources = Vec::new();
    for (folder, _) in ARROWS.iter().filter(|(folder, _)| *folder != ".") {
        files(&root().join(folder), "rs", &mut sources);
    }
    files(&root().join("src"), "rs", &mut sources);
    assert!(sources.len() > 50);
    for source in sources {
        let lines = fs::read_to_string(&source).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines: perhaps it is two nouns", source.display());
        let stem = source.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            !["common", "util", "utils", "helpers", "misc"].contains(&stem.as_str()),
            "{} says nothing",
            source.display()
        );
    }
}
