//! Which known name one that is not known was probably meant to be.

/// The known name that is most like this one, if any is.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let scored =
        known.into_iter().map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score > 0.75).map(|(_, candidate)| candidate)
}

/// Whether a name differs from a word by a letter at most, or by the case of letters.
pub(crate) fn is_like(name: &str, word: &str) -> bool {
    strsim::levenshtein(&name.to_lowercase(), word) <= 1
}
