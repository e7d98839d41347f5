//! Equipment paths: `site/area/line/cell`.

/// The equipment and its ancestors, nearest first: `a/b/c`, `a/b`, `a`.
pub fn lineage(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| parent(path))
}

/// The path of the parent; none for a root.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// Whether `path` is `ancestor` or lies below it.
#[must_use]
pub fn is_within(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
