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

/// Checks the `count` own cases of a file, and those that the other folder has in a file of that name: it need not have
/// all files, but one.
pub(crate) fn check(name: &str, count: usize, check: impl Fn(&Value)) {
    let own = cases(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name));
    assert_eq!(own.len(), count, "{name}");
    own.iter().for_each(&check);
    let Some(folder) = std::env::var_os("TAKT_GOLDEN").map(PathBuf::from) else { return };
    let known = ["aggregates.json", "compression.json", "oee_timelines.json"];
    assert!(known.iter().any(|name| folder.join(name).is_file()), "{} has none of {known:?}", folder.display());
    let other = folder.join(name);
    if other.is_file() {
        let other = cases(&other);
        assert!(!other.is_empty(), "no case in {name} of {}", folder.display());
        other.iter().for_each(&check);
    }
}
