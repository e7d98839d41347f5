//! Cases computed independently of this crate: its own ones, and those of a folder that `TAKT_GOLDEN` names, so that
//! others of the same form can be checked without a change here.

use std::path::{Path, PathBuf};

use serde_json::Value;

fn cases(path: &Path) -> Vec<Value> {
    let content = std::fs::read_to_string(path).expect("the golden file is there");
    let mut golden: Value = serde_json::from_str(&content).expect("JSON");
    let Value::Array(cases) = golden["cases"].take() else { panic!("{}: no array `cases`", path.display()) };
    cases
}

fn own(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The file of that name in the other folder: it need not have all files, but one.
fn other(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TAKT_GOLDEN").map(PathBuf::from)?;
    let known = [
        "aggregates.json",
        "capability.json",
        "compression.json",
        "gage_rr.json",
        "genealogy/expected.json",
        "oee_timelines.json",
        "spc_charts.json",
        "spc_constants.csv",
        "spc_rules_unit.json",
    ];
    assert!(known.iter().any(|name| folder.join(name).is_file()), "{} has none of {known:?}", folder.display());
    Some(folder.join(name)).filter(|file| file.is_file())
}

/// The text of an own file, and of the one of that name in the other folder.
pub(crate) fn texts(name: &str) -> Vec<String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("the golden file is there");
    std::iter::once(own(name)).chain(other(name)).map(read).collect()
}

/// Checks the `count` own cases of a file, and those that the other folder has in a file of that name.
pub(crate) fn check(name: &str, count: usize, check: impl Fn(&Value)) {
    let own = cases(&own(name));
    assert_eq!(own.len(), count, "{name}");
    own.iter().for_each(&check);
    if let Some(other) = other(name) {
        let other = cases(&other);
        assert!(!other.is_empty(), "no case in the other {name}");
        other.iter().for_each(&check);
    }
}
