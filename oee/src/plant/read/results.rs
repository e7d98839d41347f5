//! `results = { … }` of an equipment: what results of operations mean.

use std::collections::BTreeMap;

use crate::plant::document::{Section, mismatch, text_of};
use crate::plant::mistake::{Mistakes, nearest};
use crate::verdict::Verdict;

pub(super) fn results(section: &mut Section<'_>, mistakes: &mut Mistakes<'_>) -> Option<BTreeMap<String, Verdict>> {
    let table = section.inline_table("results", "{ IO = \"pass\", NIO = \"fail\" }", mistakes)?;
    let mut results = BTreeMap::new();
    for (result, entry) in table.entries() {
        let words = || Verdict::WORDS.iter().map(|(word, _)| *word);
        let listed = words().collect::<Vec<_>>().join(", ");
        let Some(text) = text_of(entry) else {
            mismatch(&result.value, &format!("one of {listed} in quotes"), entry, mistakes);
            continue;
        };
        match Verdict::WORDS.iter().find(|(word, _)| *word == text.value) {
            Some(&(_, verdict)) => {
                results.insert(result.value, verdict);
            }
            None => {
                let near = nearest(&text.value, words());
                let near = near.map_or(String::new(), |near| format!("did you mean `{near}`? "));
                let message = format!("`{}` is no meaning of a result", text.value);
                mistakes.add(text.at, message, format!("{near}Write one of {listed}"));
            }
        }
    }
    Some(results)
}
